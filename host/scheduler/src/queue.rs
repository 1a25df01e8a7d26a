//! Pods that wait for a node: those to try now by priority, those that back off, and those that
//! nothing can help until something changes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k3s_base::BackoffPolicy;

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

/// All times are those of one monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    entries: HashMap<Arc<str>, Entry>,
    active: BTreeMap<Rank, Arc<str>>,
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
        let place = Place::Active(self.activate(&key, pod.priority));
        self.entries.insert(
            key,
            Entry {
                pod,
                attempts: 0,
                place,
                refusers: Refusers::new(),
            },
        );
    }

    /// What the pod itself changed may help it as much as what others do.
    fn ask_anew(&mut self, key: &Arc<str>) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        match entry.place {
            Place::Waiting(_, until) => entry.place = Place::BackingOff(until),
            Place::Gated => {
                let priority = entry.pod.priority;
                let place = Place::Active(self.activate(key, priority));
                if let Some(entry) = self.entries.get_mut(key) {
                    entry.place = place;
                }
            }
            Place::Active(_) | Place::BackingOff(_) | Place::InCycle => {}
        }
    }

    /// A pod that needs no place any more.
    pub(crate) fn remove(&mut self, key: &str) {
        if let Some(Entry {
            place: Place::Active(rank),
            ..
        }) = self.entries.remove(key)
        {
            self.active.remove(&rank);
        }
    }

    /// The next pod to try.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<Arc<PodInfo>> {
        self.ripen(now);
        let (_, key) = self.active.pop_first()?;
        let entry = self.entries.get_mut(&key)?;
        entry.place = Place::InCycle;
        entry.attempts = entry.attempts.saturating_add(1);
        Some(entry.pod.clone())
    }

    /// The pod's gates hold it back; that is no failed try.
    pub(crate) fn gate(&mut self, key: &str) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.attempts = 0;
            entry.place = Place::Gated;
        }
    }

    /// The pod did not fit anywhere, because of these filters.
    pub(crate) fn park(&mut self, key: &str, refusers: Refusers, now: Duration) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.refusers = refusers;
            entry.place =
                Place::Waiting(now, now + BACKOFF.delay(entry.attempts.saturating_sub(1)));
        }
    }

    /// The pod fitted but could not be bound: try again after its back-off.
    pub(crate) fn retry(&mut self, key: &str, now: Duration) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.place = Place::BackingOff(now + BACKOFF.delay(entry.attempts.saturating_sub(1)));
        }
    }

    /// Something happened that may help the pods that `concerns` picks.
    pub(crate) fn wake(&mut self, now: Duration, concerns: impl Fn(&PodInfo, &Refusers) -> bool) {
        for entry in self.entries.values_mut() {
            if let Place::Waiting(_, until) = entry.place
                && concerns(&entry.pod, &entry.refusers)
            {
                entry.place = Place::BackingOff(until);
            }
        }
        self.ripen(now);
    }

    /// When [`Queue::pop`] may have something again, if nothing else happens.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        let due = |e: &Entry| match e.place {
            Place::BackingOff(until) => Some(until),
            Place::Waiting(since, _) => Some(since + TRY_ANYWAY_AFTER),
            Place::Active(_) => Some(Duration::ZERO),
            Place::Gated | Place::InCycle => None,
        };
        self.entries.values().filter_map(due).min()
    }

    fn ripen(&mut self, now: Duration) {
        let is_ripe = |e: &Entry| match e.place {
            Place::BackingOff(until) => until <= now,
            Place::Waiting(since, _) => since + TRY_ANYWAY_AFTER <= now,
            Place::Active(_) | Place::Gated | Place::InCycle => false,
        };
        let ripe: Vec<(Arc<str>, i64)> = self
            .entries
            .iter()
            .filter(|(_, e)| is_ripe(e))
            .map(|(k, e)| (k.clone(), e.pod.priority))
            .collect();
        for (key, priority) in ripe {
            let rank = self.activate(&key, priority);
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.place = Place::Active(rank);
            }
        }
    }

    fn activate(&mut self, key: &Arc<str>, priority: i64) -> Rank {
        self.sequence += 1;
        let rank = (Reverse(priority), self.sequence);
        self.active.insert(rank, key.clone());
        rank
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
}
