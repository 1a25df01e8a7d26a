//! What a controller has asked for and its informer has not shown yet.
//!
//! Between a create and the informer's event, a second read of the cache would create again. A
//! controller therefore notes what it expects, and does not act on a key until all of it was seen
//! or the note is too old to be believed (upstream `pkg/controller/controller_utils.go`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k3s_base::Clock;
use parking_lot::Mutex;

/// After this an event is taken as lost: the cache decides.
const TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Expectations by controller key. Bounded by the keys under control; [`Expectations::forget`]
/// when a controller object is deleted.
#[derive(Debug)]
pub struct Expectations {
    clock: Clock,
    by_key: Mutex<HashMap<Arc<str>, Expected>>,
}

#[derive(Debug)]
struct Expected {
    creations: i64,
    /// UIDs, so that the deletion mark and the delete event count once.
    deletions: HashSet<String>,
    since: Duration,
}

impl Expectations {
    /// Nothing expected.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            by_key: Mutex::new(HashMap::new()),
        }
    }

    /// True when nothing is outstanding: the controller may act on the key.
    #[must_use]
    pub fn satisfied(&self, key: &str) -> bool {
        let now = self.clock.elapsed();
        self.by_key.lock().get(key).is_none_or(|expected| {
            (expected.creations <= 0 && expected.deletions.is_empty())
                || now.saturating_sub(expected.since) >= TIMEOUT
        })
    }

    /// To be called before the objects are created, and those with these UIDs are deleted. Replaces
    /// what was expected before.
    pub fn expect(
        &self,
        key: &Arc<str>,
        creations: usize,
        deletions: impl IntoIterator<Item = String>,
    ) {
        let expected = Expected {
            creations: i64::try_from(creations).unwrap_or(i64::MAX),
            deletions: deletions.into_iter().collect(),
            since: self.clock.elapsed(),
        };
        self.by_key.lock().insert(key.clone(), expected);
    }

    /// An object was created, or creating it failed.
    pub fn creation_observed(&self, key: &str) {
        if let Some(expected) = self.by_key.lock().get_mut(key) {
            expected.creations -= 1;
        }
    }

    /// An object is being or was deleted, or deleting it failed.
    pub fn deletion_observed(&self, key: &str, uid: &str) {
        if let Some(expected) = self.by_key.lock().get_mut(key) {
            expected.deletions.remove(uid);
        }
    }

    /// The controller object was deleted.
    pub fn forget(&self, key: &str) {
        self.by_key.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_waits_for_all_it_expects_or_five_minutes() {
        let clock = Clock::manual(jiff::Timestamp::UNIX_EPOCH);
        let expectations = Expectations::new(clock.clone());
        let key: Arc<str> = "n/a".into();
        assert!(expectations.satisfied(&key));
        expectations.expect(&key, 2, ["u".to_owned()]);
        expectations.creation_observed(&key);
        expectations.creation_observed(&key);
        assert!(!expectations.satisfied(&key));
        expectations.deletion_observed(&key, "u");
        expectations.deletion_observed(&key, "u");
        assert!(expectations.satisfied(&key));
        expectations.expect(&key, 1, []);
        clock.advance(Duration::from_secs(299));
        assert!(!expectations.satisfied(&key));
        clock.advance(Duration::from_secs(1));
        assert!(expectations.satisfied(&key));
    }
}
