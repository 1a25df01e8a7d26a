//! What a pod's status is computed from.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};

use super::plan::Verdicts;
use super::resize::{Pending, Progress};
use super::restarts::Restarts;
use super::sizes::Sizes;
use crate::model::{Observed, Rejection, Waiting};

/// What the status is made from.
pub(crate) struct Inputs<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) observed: &'a Observed,
    pub(crate) verdicts: &'a HashMap<String, Verdicts>,
    pub(crate) waiting: &'a HashMap<String, Waiting>,
    pub(crate) restarts: &'a Restarts,
    /// What containers have.
    pub(crate) sizes: &'a Sizes,
    /// Why the pod is not resized.
    pub(crate) pending: Option<&'a Pending>,
    /// A resize that is not finished.
    pub(crate) progress: Option<&'a Progress>,
    /// The status written before; keeps transition times, restart counts, start time.
    pub(crate) before: &'a PodStatus,
    pub(crate) rejection: Option<&'a Rejection>,
    /// No container will be started again.
    pub(crate) terminal: bool,
    pub(crate) node_ips: &'a [String],
    /// Prefix of container ids: the runtime's name.
    pub(crate) runtime: &'a str,
    pub(crate) now: Timestamp,
}

/// `metav1.Time` carries whole seconds; anything finer would differ after one round trip.
pub(crate) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
