//! Pods that fail as soon as they are made are made again ever later.
//!
//! A node may refuse a Pod that was placed there, each time anew; without a delay its owner would make
//! hundreds of Pods in a few seconds. Upstream has such a delay for DaemonSets only
//! (`failedPodsBackoff` of `pkg/controller/daemon`); it serves every owner as well, and a Pod that ran for a
//! while before it failed costs its successor next to nothing.

use std::time::Duration;

use k3s_base::{Backoffs, Clock};
use k3s_client::{InformerEvent, Obj};
use parking_lot::Mutex;

use super::{pod, time};

/// The first delay.
const BASE: Duration = Duration::from_secs(1);
/// The longest one, unless a controller has its own: that of containers which crash.
pub(crate) const CAP: Duration = Duration::from_secs(300);

/// The delays of one controller's Pods. A key is an owner's UID and, where it makes them one by one, the
/// place of the Pod.
#[derive(Debug)]
pub(crate) struct FailedPods {
    delays: Mutex<Backoffs>,
    clock: Clock,
    cap: Duration,
}

impl FailedPods {
    pub(crate) fn new(clock: Clock, cap: Duration) -> Self {
        Self {
            delays: Mutex::new(Backoffs::new(BASE, cap)),
            clock,
            cap,
        }
    }

    /// How long there must be no other Pod yet.
    pub(crate) fn wait(&self, key: &str) -> Option<Duration> {
        let delays = self.delays.lock();
        let (left, _) = delays.in_backoff_now(key, self.clock.elapsed())?;
        Some(left)
    }

    /// Notes a failure: the next Pod waits longer than the one before it. Pods that fail while a delay
    /// runs are of the same try.
    pub(crate) fn failed(&self, key: &str) {
        let now = self.clock.elapsed();
        let mut delays = self.delays.lock();
        if delays.in_backoff_now(key, now).is_none() {
            delays.next(key, now);
        }
    }

    /// Notes the failure of the Pod that the event is about, if it is one that the Pod's making explains:
    /// one that ran longer than the longest delay has waited enough.
    pub(crate) fn observe(&self, event: &InformerEvent, key: &str) {
        // A Pod that is being deleted ends because of that.
        let failed =
            |object: &Obj| pod::of(object).status.phase == "Failed" && !object.is_deleting();
        let is_new = match event {
            InformerEvent::Added(new) => failed(new),
            InformerEvent::Updated { old, new } => failed(new) && !failed(old),
            InformerEvent::Deleted(_) => false,
        };
        if is_new && self.is_young(event.object()) {
            self.failed(key);
        }
    }

    fn is_young(&self, object: &Obj) -> bool {
        let created = time::parse(&object.meta().creation_timestamp);
        let now = self.clock.now();
        created.is_none_or(|created| time::until(now, created, self.cap).is_some())
    }
}

#[cfg(test)]
mod tests {
    use k3s_client::Object;
    use serde_json::json;

    use super::*;

    fn pod(phase: &str, created: &str) -> Object {
        Obj::from_value(json!({"metadata": {"name": "p", "creationTimestamp": created}, "status": {"phase": phase}}))
            .unwrap()
    }

    fn turns(old: &Object, new: &Object) -> InformerEvent {
        InformerEvent::Updated {
            old: old.clone(),
            new: new.clone(),
        }
    }

    #[test]
    fn each_try_that_fails_at_once_waits_longer() {
        let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
        let failures = FailedPods::new(clock.clone(), CAP);
        assert_eq!(failures.wait("set"), None);
        for expected in [1, 2, 4, 8] {
            for _ in 0..3 {
                failures.failed("set");
            }
            let wait = failures.wait("set");
            assert_eq!(wait, Some(Duration::from_secs(expected)));
            assert_eq!(failures.wait("other"), None);
            clock.advance(Duration::from_secs(expected));
            assert_eq!(failures.wait("set"), None);
        }
    }

    #[test]
    fn only_a_pod_that_fails_soon_after_its_creation_counts_and_once() {
        let clock = Clock::manual("2026-01-01T00:10:00Z".parse().unwrap());
        let young = "2026-01-01T00:09:59Z";
        let old = "2026-01-01T00:04:00Z";
        let deleting = json!({"metadata": {"name": "p", "creationTimestamp": young, "deletionTimestamp": young},
            "status": {"phase": "Failed"}});
        let deleting = Obj::from_value(deleting).unwrap();
        for (event, counts) in [
            (turns(&pod("Pending", young), &pod("Failed", young)), true),
            (turns(&pod("Failed", young), &pod("Failed", young)), false),
            (turns(&pod("Running", old), &pod("Failed", old)), false),
            (turns(&pod("Pending", young), &pod("Running", young)), false),
            (turns(&pod("Running", young), &deleting), false),
            (InformerEvent::Added(pod("Failed", young)), true),
            (InformerEvent::Deleted(pod("Failed", young)), false),
        ] {
            let failures = FailedPods::new(clock.clone(), CAP);
            failures.observe(&event, "set");
            assert_eq!(failures.wait("set").is_some(), counts, "{event:?}");
        }
    }
}
