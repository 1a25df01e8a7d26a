//! Jobs and cron jobs.

mod cronjob;
pub(crate) mod job;

use crate::rules::KindRules;

/// Rules of a kind of the group `batch`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "CronJob" => &cronjob::CronJob,
        "Job" => &job::Job,
        _ => return None,
    })
}
