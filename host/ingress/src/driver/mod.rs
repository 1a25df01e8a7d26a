//! From the cluster's objects to the route table, and back to their status: the tasks around the data
//! plane.

pub(crate) mod class;
pub(crate) mod crds;
mod feed;
mod kinds;
mod reload;
pub(crate) mod secrets;
mod status;

pub(crate) use feed::Feed;
pub(crate) use kinds::Kinds;
pub(crate) use reload::Reload;
pub(crate) use status::StatusReporter;
