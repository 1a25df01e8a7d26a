//! Pods that wait for a node: those to try now by priority, those that back off, and those that
//! nothing can help until something changes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k3s_base::{BackoffPolicy, Shrink as _};

use crate::framework::Refusers;
use crate::model::PodInfo;

/// Upstream's `podInitialBackoffSeconds` and `podMaxBackoffSeconds`.
const BACKOFF: BackoffPolicy = BackoffPolicy {
    base: Duration::from_secs(1),
    factor: 2.0,
    cap: Duration::from_secs(10),
    jitter: 0.0,
};
/// A pod that nothing has helped is tried again after this (upstream's default).
const TRY_ANYWAY_AFTER: Duration = Duration::from_secs(300);

type Rank = (Reverse<i64>, u64);

#[derive(Debug)]
struct Entry {
    pod: Arc<PodInfo>,
    attempts: u32,
    place: Place,
    /// The filters that refused it last.
    refusers: Refusers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Active(Rank),
    /// Until this time.
    BackingOff(Duration),
    /// Since this time; the second is when its back-off ends.
    Waiting(Duration, Duration),
    /// Until its own gates change.
    Gated,
    /// Taken out by [`Queue::pop`].
    InCycle,
}

impl Place {
    /// When a pod is tried again from here, if nothing else happens.
    fn due(self) -> Option<Duration> {
        match self {
            Self::BackingOff(until) => Some(until),
            Self::Waiting(since, _) => Some(since + TRY_ANYWAY_AFTER),
            Self::Active(_) | Self::Gated | Self::InCycle => None,
        }
    }
}

/// All times are those of one monotonic clock. Every change of a place goes through [`Queue::put`], which keeps the
/// two orders true.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    entries: HashMap<Arc<str>, Entry>,
    active: BTreeMap<Rank, Arc<str>>,
    /// Pods that are tried again at a time.
    due: BTreeSet<(Duration, Arc<str>)>,
    sequence: u64,
}

impl Queue {
    /// A pod to place, or its new state. `asks_anew`: its spec or labels differ from before.
    pub(crate) fn set(&mut self, pod: Arc<PodInfo>, asks_anew: bool) {
        let key = pod.key.clone();
        if let Some(entry) = self.entries.get_mut(&key).filter(|e| e.pod.uid == pod.uid) {
            entry.pod = pod;
            if asks_anew {
                self.ask_anew(&key);
            }
            return;
        }
        self.remove(&key);
        let entry = Entry {
            pod,
            attempts: 0,
            place: Place::InCycle,
            refusers: Refusers::new(),
        };
        self.entries.insert(key.clone(), entry);
        self.activate(&key);
    }

    /// What the pod itself changed may help it as much as what others do.
    fn ask_anew(&mut self, key: &str) {
        match self.entries.get(key).map(|entry| entry.place) {
            Some(Place::Waiting(_, until)) => self.put(key, Place::BackingOff(until)),
            Some(Place::Gated) => self.activate(key),
            _ => {}
        }
    }

    /// A pod that needs no place any more.
    pub(crate) fn remove(&mut self, key: &str) {
        // No order holds a pod that is in a cycle.
        self.put(key, Place::InCycle);
        self.entries.remove(key);
        self.entries.shrink_when_sparse();
    }

    /// The next pod to try.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<Arc<PodInfo>> {
        self.ripen(now);
        let key = self.active.first_key_value()?.1.clone();
        self.put(&key, Place::InCycle);
        let entry = self.entries.get_mut(&key)?;
        entry.attempts = entry.attempts.saturating_add(1);
        Some(entry.pod.clone())
    }

    /// The pod's gates hold it back; that is no failed try.
    pub(crate) fn gate(&mut self, key: &str) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.attempts = 0;
            self.put(key, Place::Gated);
        }
    }

    /// The pod did not fit anywhere, because of these filters.
    pub(crate) fn park(&mut self, key: &str, refusers: Refusers, now: Duration) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.refusers = refusers;
            let until = now + entry.backoff();
            self.put(key, Place::Waiting(now, until));
        }
    }

    /// The pod fitted but could not be bound: try again after its back-off.
    pub(crate) fn retry(&mut self, key: &str, now: Duration) {
        if let Some(entry) = self.entries.get(key) {
            let until = now + entry.backoff();
            self.put(key, Place::BackingOff(until));
        }
    }

    /// Something happened that may help the pods that `concerns` picks.
    pub(crate) fn wake(&mut self, now: Duration, concerns: impl Fn(&PodInfo, &Refusers) -> bool) {
        let mut woken = Vec::new();
        for (key, entry) in &self.entries {
            if let Place::Waiting(_, until) = entry.place
                && concerns(&entry.pod, &entry.refusers)
            {
                woken.push((key.clone(), until));
            }
        }
        for (key, until) in woken {
            self.put(&key, Place::BackingOff(until));
        }
        self.ripen(now);
    }

    /// When [`Queue::pop`] may have something again, if nothing else happens.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        if !self.active.is_empty() {
            return Some(Duration::ZERO);
        }
        self.due.first().map(|(due, _)| *due)
    }

    /// Activates the pods whose time has come, in the order of their times.
    fn ripen(&mut self, now: Duration) {
        while let Some((due, key)) = self.due.first()
            && *due <= now
        {
            let key = key.clone();
            self.activate(&key);
        }
    }

    fn activate(&mut self, key: &str) {
        if let Some(entry) = self.entries.get(key) {
            self.sequence += 1;
            let rank = (Reverse(entry.pod.priority), self.sequence);
            self.put(key, Place::Active(rank));
        }
    }

    fn put(&mut self, key: &str, place: Place) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let key = entry.pod.key.clone();
        let before = std::mem::replace(&mut entry.place, place);
        if let Place::Active(rank) = before {
            self.active.remove(&rank);
        } else if let Some(due) = before.due() {
            self.due.remove(&(due, key.clone()));
        }
        if let Place::Active(rank) = place {
            self.active.insert(rank, key);
        } else if let Some(due) = place.due() {
            self.due.insert((due, key));
        }
    }
}

impl Entry {
    fn backoff(&self) -> Duration {
        BACKOFF.delay(self.attempts.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, priority: i64) -> Arc<PodInfo> {
        Arc::new(PodInfo {
            key: name.into(),
            uid: name.into(),
            priority,
            ..PodInfo::default()
        })
    }

    const fn at(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn higher_priority_first_then_first_come() {
        let mut queue = Queue::default();
        for (name, priority) in [("a", 0), ("b", 10), ("c", 0), ("d", 10)] {
            queue.set(pod(name, priority), true);
        }
        let order: Vec<String> = std::iter::from_fn(|| queue.pop(at(0)))
            .map(|p| p.key.to_string())
            .collect();
        assert_eq!(order, ["b", "d", "a", "c"]);
    }

    #[test]
    fn a_parked_pod_waits_for_a_change_and_its_back_off() {
        let mut queue = Queue::default();
        queue.set(pod("a", 0), true);
        assert!(queue.pop(at(0)).is_some());
        queue.park("a", Refusers::new(), at(0));
        assert!(queue.pop(at(100)).is_none());
        queue.wake(at(100), |_, _| true);
        assert!(queue.pop(at(100)).is_some());
        queue.park("a", Refusers::new(), at(100));
        queue.wake(at(101), |_, _| true);
        assert!(
            queue.pop(at(101)).is_none(),
            "second try backs off two seconds"
        );
        assert_eq!(queue.next_due(), Some(at(102)));
        assert!(queue.pop(at(102)).is_some());
    }

    #[test]
    fn a_parked_pod_is_tried_anyway_after_a_while() {
        let mut queue = Queue::default();
        queue.set(pod("a", 0), true);
        queue.pop(at(0));
        queue.park("a", Refusers::new(), at(0));
        assert_eq!(queue.next_due(), Some(at(300)));
        assert!(queue.pop(at(300)).is_some());
    }

    #[test]
    fn a_pod_made_anew_under_its_old_name_starts_over() {
        let mut queue = Queue::default();
        queue.set(pod("a", 0), true);
        queue.pop(at(0));
        queue.park("a", Refusers::new(), at(0));
        let other = PodInfo {
            key: "a".into(),
            uid: "other".into(),
            ..PodInfo::default()
        };
        queue.set(Arc::new(other), false);
        assert_eq!(queue.pop(at(0)).unwrap().uid, "other");
    }

    #[test]
    fn a_gated_pod_waits_for_its_own_change_only_and_has_not_failed() {
        let mut queue = Queue::default();
        queue.set(pod("a", 0), true);
        assert!(queue.pop(at(0)).is_some());
        queue.gate("a");
        queue.wake(at(0), |_, _| true);
        assert_eq!(queue.next_due(), None);
        queue.set(pod("a", 0), false);
        assert!(queue.pop(at(1000)).is_none());
        queue.set(pod("a", 0), true);
        assert!(queue.pop(at(1000)).is_some());
        queue.park("a", Refusers::new(), at(1000));
        queue.wake(at(1000), |_, _| true);
        assert_eq!(queue.next_due(), Some(at(1001)));
    }

    #[test]
    fn a_parked_pod_that_asks_for_something_else_is_tried_again() {
        let mut queue = Queue::default();
        queue.set(pod("a", 0), true);
        queue.pop(at(0));
        queue.park("a", Refusers::new(), at(0));
        queue.set(pod("a", 0), false);
        assert!(queue.pop(at(5)).is_none());
        queue.set(pod("a", 0), true);
        assert!(queue.pop(at(5)).is_some());
    }

    #[test]
    fn pods_come_back_in_the_order_of_their_times_and_leave_none_behind() {
        let mut queue = Queue::default();
        for name in ["a", "b", "c"] {
            queue.set(pod(name, 0), true);
            queue.pop(at(0));
        }
        for (name, since) in [("b", 1), ("a", 2), ("c", 3)] {
            queue.park(name, Refusers::new(), at(since));
        }
        assert_eq!(queue.next_due(), Some(at(301)));
        queue.remove("b");
        assert_eq!(queue.next_due(), Some(at(302)));
        let order: Vec<String> = std::iter::from_fn(|| queue.pop(at(400)))
            .map(|p| p.key.to_string())
            .collect();
        assert_eq!(order, ["a", "c"]);
        queue.remove("a");
        queue.remove("c");
        assert_eq!(queue.next_due(), None);
        assert!(queue.due.is_empty() && queue.active.is_empty() && queue.entries.is_empty());
    }
}
