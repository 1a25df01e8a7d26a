//! Time as a handle, so that a test can own it.
//!
//! Two readings are offered, as on every operating system: wall time ([`Clock::now`]), which may
//! jump and is what objects carry, and monotonic time ([`Clock::elapsed`]), which never goes back
//! and is what timeouts are measured with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;

/// A source of wall and monotonic time. Cheap to clone; clones share the source.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System(Instant),
    Manual(Arc<Mutex<ManualState>>),
}

#[derive(Debug)]
struct ManualState {
    wall: Timestamp,
    elapsed: Duration,
}

impl Clock {
    /// The operating system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System(Instant::now()))
    }

    /// A clock that stands still at `start` until [`Clock::advance`] moves it.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(ManualState {
            wall: start,
            elapsed: Duration::ZERO,
        }))))
    }

    /// Wall time, UTC.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System(_) => Timestamp::now(),
            Source::Manual(state) => state.lock().wall,
        }
    }

    /// Monotonic time since this clock was made.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            Source::System(start) => start.elapsed(),
            Source::Manual(state) => state.lock().elapsed,
        }
    }

    /// Wall time as `metav1.Time` writes it: RFC 3339, UTC, whole seconds (`2026-01-02T03:04:05Z`).
    #[must_use]
    pub fn now_rfc3339(&self) -> String {
        rfc3339(self.now())
    }

    /// Moves a manual clock forward; the system clock ignores it.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(state) = &self.0 {
            let mut state = state.lock();
            state.elapsed = state.elapsed.saturating_add(by);
            state.wall = state.wall.checked_add(by).unwrap_or(Timestamp::MAX);
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// `metav1.Time`: RFC 3339, UTC, whole seconds.
#[must_use]
pub fn rfc3339(t: Timestamp) -> String {
    t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `metav1.MicroTime`: RFC 3339, UTC, six digits of fraction.
#[must_use]
pub fn rfc3339_micro(t: Timestamp) -> String {
    t.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual("2026-01-02T03:04:05Z".parse().unwrap());
        assert_eq!(clock.now_rfc3339(), "2026-01-02T03:04:05Z");
        clock.advance(Duration::from_secs(61));
        assert_eq!(clock.now_rfc3339(), "2026-01-02T03:05:06Z");
        assert_eq!(clock.elapsed(), Duration::from_secs(61));
    }

    #[test]
    fn micro_time_has_six_digits() {
        assert_eq!(
            rfc3339_micro("2026-01-02T03:04:05.5Z".parse().unwrap()),
            "2026-01-02T03:04:05.500000Z"
        );
    }
}
