//! Pure: which write an event becomes, if any.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use jiff::Timestamp;

use super::{EventType, ObjectReference, Occurrence};

/// Similar events within the window before they are combined.
const COMBINE_AFTER: usize = 10;
/// The window in seconds.
const COMBINE_WINDOW_SECS: i64 = 600;
/// Events one object may have at once.
const BURST: f64 = 25.0;
/// Seconds until one more is allowed.
const REFILL_SECS: f64 = 300.0;
/// Entries of each cache; the oldest is dropped.
const CACHE_ENTRIES: usize = 4096;

/// What to write.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision {
    /// A new Event with this message.
    Create { message: String },
    /// Raise the count of an Event written before.
    Count {
        name: String,
        count: u32,
        message: String,
    },
    /// Nothing: the object has had too many.
    Drop,
}

type AggregateKey = (ObjectReference, EventType, String);

/// What entries are known by. The texts themselves would be kept for thousands of objects that have left. Of as many
/// entries as a cache has, two have one hash in some 10^12 cases, and then count as one.
type Digest = u64;

#[derive(Default)]
struct Aggregate {
    messages: HashSet<Digest>,
    last: Timestamp,
}

struct Bucket {
    tokens: f64,
    last: Timestamp,
}

struct Written {
    name: String,
    count: u32,
}

#[derive(Default)]
pub(super) struct Correlator {
    hasher: RandomState,
    aggregates: Bounded<Aggregate>,
    buckets: Bounded<Bucket>,
    written: Bounded<Written>,
}

impl Correlator {
    pub(super) fn decide(&mut self, occurrence: &Occurrence) -> Decision {
        let key = aggregate_key(occurrence);
        let message = self.combine(self.hasher.hash_one(&key), occurrence);
        if !self.allowed(self.hasher.hash_one(&key.0), occurrence.at) {
            return Decision::Drop;
        }
        let written = self.digest(occurrence, &message);
        match self.written.get_mut(written) {
            Some(written) => {
                written.count = written.count.saturating_add(1);
                Decision::Count {
                    name: written.name.clone(),
                    count: written.count,
                    message,
                }
            }
            None => Decision::Create { message },
        }
    }

    /// Remembers under which name an Event was written.
    pub(super) fn created(&mut self, occurrence: &Occurrence, message: &str, name: String) {
        let written = self.digest(occurrence, message);
        self.written.insert(written, Written { name, count: 1 });
    }

    /// The Event no longer exists on the server: the next occurrence creates another.
    pub(super) fn lost(&mut self, occurrence: &Occurrence, message: &str) {
        self.written.remove(self.digest(occurrence, message));
    }

    fn digest(&self, occurrence: &Occurrence, message: &str) -> Digest {
        self.hasher.hash_one((aggregate_key(occurrence), message))
    }

    fn combine(&mut self, key: Digest, occurrence: &Occurrence) -> String {
        let message = self.hasher.hash_one(&occurrence.message);
        let aggregate = self.aggregates.entry(key);
        if seconds(occurrence.at, aggregate.last) > COMBINE_WINDOW_SECS as f64 {
            aggregate.messages.clear();
        }
        aggregate.last = occurrence.at;
        aggregate.messages.insert(message);
        if aggregate.messages.len() < COMBINE_AFTER {
            return occurrence.message.clone();
        }
        // Keep the set at its size: one message more is one too many.
        aggregate.messages.remove(&message);
        format!("(combined from similar events): {}", occurrence.message)
    }

    fn allowed(&mut self, about: Digest, at: Timestamp) -> bool {
        if self.buckets.get_mut(about).is_none() {
            self.buckets.insert(
                about,
                Bucket {
                    tokens: BURST,
                    last: at,
                },
            );
        }
        let Some(bucket) = self.buckets.get_mut(about) else {
            return true;
        };
        bucket.tokens =
            (bucket.tokens + seconds(at, bucket.last).max(0.0) / REFILL_SECS).min(BURST);
        bucket.last = at;
        let allowed = bucket.tokens >= 1.0;
        if allowed {
            bucket.tokens -= 1.0;
        }
        allowed
    }
}

fn aggregate_key(occurrence: &Occurrence) -> AggregateKey {
    let about = ObjectReference {
        resource_version: String::new(),
        ..occurrence.about.clone()
    };
    (about, occurrence.kind, occurrence.reason.clone())
}

fn seconds(later: Timestamp, earlier: Timestamp) -> f64 {
    later.duration_since(earlier).as_secs_f64()
}

/// A map that forgets its oldest entry when full.
struct Bounded<V> {
    map: HashMap<Digest, V>,
    order: VecDeque<Digest>,
}

impl<V> Default for Bounded<V> {
    fn default() -> Self {
        Self {
            map: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<V> Bounded<V> {
    fn get_mut(&mut self, key: Digest) -> Option<&mut V> {
        self.map.get_mut(&key)
    }

    fn insert(&mut self, key: Digest, value: V) {
        if self.map.insert(key, value).is_none() {
            self.order.push_back(key);
            self.trim();
        }
    }

    fn entry(&mut self, key: Digest) -> &mut V
    where
        V: Default,
    {
        if !self.map.contains_key(&key) {
            self.order.push_back(key);
            self.map.insert(key, V::default());
            self.trim();
        }
        self.map.entry(key).or_default()
    }

    fn remove(&mut self, key: Digest) {
        if self.map.remove(&key).is_some() {
            self.order.retain(|kept| *kept != key);
        }
    }

    fn trim(&mut self) {
        while self.order.len() > CACHE_ENTRIES {
            if let Some(oldest) = self.order.pop_front() {
                self.map.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occurrence(message: &str, second: i64) -> Occurrence {
        Occurrence {
            about: ObjectReference {
                kind: "Pod".into(),
                name: "p".into(),
                ..ObjectReference::default()
            },
            kind: EventType::Warning,
            reason: "BackOff".into(),
            message: message.into(),
            at: Timestamp::from_second(1_000_000 + second).unwrap(),
        }
    }

    #[test]
    fn equal_events_raise_a_count() {
        let mut correlator = Correlator::default();
        let event = occurrence("m", 0);
        assert_eq!(
            correlator.decide(&event),
            Decision::Create {
                message: "m".into()
            }
        );
        correlator.created(&event, "m", "p.1".into());
        assert_eq!(
            correlator.decide(&event),
            Decision::Count {
                name: "p.1".into(),
                count: 2,
                message: "m".into()
            }
        );
        correlator.lost(&event, "m");
        assert!(matches!(correlator.decide(&event), Decision::Create { .. }));
    }

    #[test]
    fn similar_events_are_combined_and_an_object_is_limited() {
        let mut correlator = Correlator::default();
        let decisions: Vec<_> = (0..40)
            .map(|n| correlator.decide(&occurrence(&format!("m{n}"), n)))
            .collect();
        assert_eq!(
            decisions[8],
            Decision::Create {
                message: "m8".into()
            }
        );
        assert_eq!(
            decisions[9],
            Decision::Create {
                message: "(combined from similar events): m9".into()
            }
        );
        assert_eq!(decisions[30], Decision::Drop);
        assert!(
            matches!(correlator.decide(&occurrence("later", 2000)), Decision::Create { message } if message == "later")
        );
    }
}
