//! Questions that several controllers ask about a Pod.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use k3s_client::Obj;
use k3s_objects::Pod;

use super::time;

static NOTHING: LazyLock<Pod> = LazyLock::new(Pod::default);

/// The view of a Pod. The API server refuses a Pod that this type cannot read. Should there be one
/// all the same, it counts as an empty Pod.
pub(crate) fn of(object: &Obj) -> &Pod {
    object.typed::<Pod>().unwrap_or_else(|error| {
        tracing::warn!(pod = %object.key(), error = %error.chain(), "cannot read a pod");
        &NOTHING
    })
}

/// How often its containers were started again.
pub(crate) fn restarts(pod: &Pod) -> i64 {
    let statuses = pod.status.container_statuses.iter();
    statuses.map(|status| status.restart_count).sum()
}

/// Since when the Pod is ready.
pub(crate) fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let ready = pod.condition("Ready").filter(|ready| ready.is_true())?;
    time::parse(ready.last_transition_time.as_deref()?)
}

/// Whether the Pod counts towards replicas: it has not ended and is not being deleted.
pub(crate) fn is_active(object: &Obj) -> bool {
    !object.is_deleting() && !of(object).is_terminal()
}

/// Whether a Pod has been ready long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    /// It is available.
    Yes,
    /// It will be in this time if it stays ready.
    In(Duration),
    /// It is not ready.
    No,
}

pub(crate) fn availability(pod: &Pod, min_ready_seconds: i64, now: Timestamp) -> Availability {
    if !pod.is_ready() {
        return Availability::No;
    }
    if min_ready_seconds <= 0 {
        return Availability::Yes;
    }
    let Some(since) = ready_since(pod) else {
        return Availability::No;
    };
    let span = Duration::from_secs(min_ready_seconds.unsigned_abs());
    match time::until(now, since, span) {
        Some(left) => Availability::In(left),
        None => Availability::Yes,
    }
}

/// Whether the labels of `wanted` are all on the object.
pub(crate) fn has_labels(object: &Obj, wanted: &BTreeMap<String, String>) -> bool {
    wanted
        .iter()
        .all(|(name, value)| object.label(name) == Some(value))
}
