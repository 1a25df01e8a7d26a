//! Jobs and cron jobs.

pub(crate) mod cronjob;
pub(crate) mod job;
