//! The node's own side: its object, status, lease and health.

pub(crate) mod conditions;
pub(crate) mod info;
pub(crate) mod lease;
pub(crate) mod pressure;
mod registration;
pub(crate) mod reporter;
pub(crate) mod state;
mod status;
