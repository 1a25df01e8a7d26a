//! Back-off by key, for what is tried again and again on one subject (a container, an image, the pods of
//! a controller), with client-go's rules (`util/flowcontrol/backoff.go`): a key without an entry waits for
//! nothing, then the delay doubles; an entry that was left alone for twice the cap starts over.

use std::collections::HashMap;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
struct Entry {
    delay: Duration,
    updated: Duration,
}

/// From this many entries on, those that have started over are dropped.
const ENTRIES: usize = 10_000;

/// The delays. Times are monotonic.
#[derive(Debug)]
pub struct Backoffs {
    base: Duration,
    cap: Duration,
    entries: HashMap<String, Entry>,
}

impl Backoffs {
    /// The first delay, and the longest.
    #[must_use]
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self {
            base,
            cap,
            entries: HashMap::new(),
        }
    }

    /// What is left to wait of the delay that began at `since`, and the whole delay.
    #[must_use]
    pub fn in_backoff(
        &self,
        key: &str,
        since: Duration,
        now: Duration,
    ) -> Option<(Duration, Duration)> {
        let entry = self.entries.get(key)?;
        if since.saturating_sub(entry.updated) > self.cap * 2 {
            return None;
        }
        let left = entry
            .delay
            .checked_sub(now.saturating_sub(since))
            .filter(|left| !left.is_zero())?;
        Some((left, entry.delay))
    }

    /// The same, counted from the entry's last change.
    #[must_use]
    pub fn in_backoff_now(&self, key: &str, now: Duration) -> Option<(Duration, Duration)> {
        let since = self.entries.get(key)?.updated;
        self.in_backoff(key, since, now)
    }

    /// Notes another try at `now`: the next delay is twice the one before.
    pub fn next(&mut self, key: &str, now: Duration) {
        let limit = self.cap * 2;
        let expired = |e: &Entry| now.saturating_sub(e.updated) > limit;
        if self.entries.len() >= ENTRIES {
            self.entries.retain(|_, e| !expired(e));
        }
        let delay = match self.entries.get(key).filter(|e| !expired(e)) {
            Some(entry) => (entry.delay * 2).min(self.cap),
            None => self.base,
        };
        self.entries.insert(
            key.to_owned(),
            Entry {
                delay,
                updated: now,
            },
        );
    }

    /// Starts over.
    pub fn forget(&mut self, key: &str) {
        self.entries.remove(key);
    }

    /// Starts over for every key with that prefix.
    pub fn forget_prefix(&mut self, prefix: &str) {
        self.entries.retain(|key, _| !key.starts_with(prefix));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crash_loop_delays_double_and_start_over_after_quiet() {
        let secs = Duration::from_secs;
        let mut backoffs = Backoffs::new(secs(10), secs(300));
        let mut now = secs(0);
        let mut seen = Vec::new();
        for _ in 0..7 {
            // The container ended at `now`; wait the delay, then start it again.
            if let Some((left, delay)) = backoffs.in_backoff("c", now, now) {
                assert_eq!(left, delay);
                seen.push(delay.as_secs());
                now += left;
                assert!(backoffs.in_backoff("c", now - left, now).is_none());
            }
            backoffs.next("c", now);
        }
        assert_eq!(seen, [10, 20, 40, 80, 160, 300]);
        assert!(
            backoffs
                .in_backoff("c", now + secs(601), now + secs(601))
                .is_none(),
            "ran well for ten minutes"
        );
        backoffs.next("c", now + secs(601));
        assert_eq!(
            backoffs.in_backoff_now("c", now + secs(601)).unwrap().1,
            secs(10)
        );
    }
}
