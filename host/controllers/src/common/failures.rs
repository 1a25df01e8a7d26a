//! Pods that fail as soon as they are made are made again ever later.
//!
//! A node may refuse a Pod that was placed there, each time again; without a delay its owner would make
//! hundreds of Pods in a few seconds. Upstream has such a delay for DaemonSets only
//! (`failedPodsBackoff` of `pkg/controller/daemon`); it serves every owner as well, and a Pod that ran for a
//! while before it failed costs its successor next to nothing.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use k3s_base::{Backoffs, Clock};
use k3s_client::{Obj, Object};
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
    /// By the owner's namespace and name.
    noted: Mutex<HashMap<String, Noted>>,
    clock: Clock,
    cap: Duration,
}

/// The failed Pods of an owner that still exist, by UID.
#[derive(Debug)]
struct Noted {
    owner: String,
    pods: HashSet<String>,
}

impl FailedPods {
    pub(crate) fn new(clock: Clock, cap: Duration) -> Self {
        Self {
            delays: Mutex::new(Backoffs::new(BASE, cap)),
            noted: Mutex::default(),
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

    /// Notes which of an owner's Pods have failed, if their making explains it: one that ran longer than the
    /// longest delay has waited enough. The Pods are those that the owner decides on, so that no failure is
    /// seen by the decision and not by the delays; each counts once.
    pub(crate) fn note(&self, owner: &Obj, pods: &[Object]) {
        // A Pod that is being deleted ends because of that.
        let has_failed =
            |pod: &&Object| pod::of(pod).status.phase == "Failed" && !pod.is_deleting();
        let failed: Vec<&Object> = pods.iter().filter(has_failed).collect();
        let mut noted = self.noted.lock();
        // Another owner of the same name starts with none.
        let known = noted
            .remove(&**owner.key())
            .filter(|noted| noted.owner == owner.uid())
            .map_or_else(HashSet::new, |noted| noted.pods);
        let is_new = |pod: &&Object| !known.contains(pod.uid()) && self.is_young(pod);
        if failed.iter().any(is_new) {
            self.failed(owner.uid());
        }
        if !failed.is_empty() {
            let now = Noted {
                owner: owner.uid().to_owned(),
                pods: failed.iter().map(|pod| pod.uid().to_owned()).collect(),
            };
            noted.insert(owner.key().to_string(), now);
        }
    }

    /// Forgets which Pods of an owner have failed, when it is deleted.
    pub(crate) fn forget(&self, key: &str) {
        self.noted.lock().remove(key);
    }

    fn is_young(&self, object: &Obj) -> bool {
        let created = time::parse(&object.meta().creation_timestamp);
        let now = self.clock.now();
        created.is_none_or(|created| time::until(now, created, self.cap).is_some())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(uid: &str, phase: &str, created: &str, deleted: Option<&str>) -> Object {
        let mut pod = json!({"metadata": {"name": "p", "uid": uid, "creationTimestamp": created}, "status": {"phase": phase}});
        if let Some(deleted) = deleted {
            pod["metadata"]["deletionTimestamp"] = Value::from(deleted);
        }
        Obj::from_value(pod).unwrap()
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

    fn set() -> Object {
        Obj::from_value(json!({"metadata": {"name": "s", "namespace": "n", "uid": "set"}})).unwrap()
    }

    const YOUNG: &str = "2026-01-01T00:09:59Z";

    fn failures() -> (Clock, FailedPods) {
        let clock = Clock::manual("2026-01-01T00:10:00Z".parse().unwrap());
        (clock.clone(), FailedPods::new(clock, CAP))
    }

    #[test]
    fn only_a_pod_that_fails_soon_after_its_creation_counts() {
        for (pod, counts) in [
            (pod("a", "Failed", YOUNG, None), true),
            (pod("a", "Failed", "2026-01-01T00:04:00Z", None), false),
            (pod("a", "Running", YOUNG, None), false),
            (pod("a", "Failed", YOUNG, Some(YOUNG)), false),
        ] {
            let (_, failures) = failures();
            failures.note(&set(), std::slice::from_ref(&pod));
            assert_eq!(failures.wait("set").is_some(), counts, "{pod:?}");
        }
    }

    #[test]
    fn each_pod_counts_once_as_long_as_it_is_there() {
        let (clock, failures) = failures();
        let mut pods = vec![pod("a", "Failed", YOUNG, None)];
        failures.note(&set(), &pods);
        clock.advance(Duration::from_secs(1));
        failures.note(&set(), &pods);
        assert_eq!(failures.wait("set"), None);
        pods.push(pod("b", "Failed", YOUNG, None));
        failures.note(&set(), &pods);
        assert_eq!(failures.wait("set"), Some(Duration::from_secs(2)));
        failures.note(&set(), &[]);
        assert!(failures.noted.lock().is_empty());
    }
}
