//! When to poll for rows of other servers: often while they write, seldom while they do not.
//!
//! A backend does not announce new rows, so the store has to poll, but only where another process may
//! write the same log. A store that is writing learns of foreign rows from the outcome of its next
//! batch anyway.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Between polls while other servers write: an indexed read of some tenths of a millisecond each.
const BUSY: Duration = Duration::from_millis(10);

/// Between polls while no other server writes (kine's interval). A poll is one indexed read.
const IDLE: Duration = Duration::from_secs(1);

/// The time of the next poll; none for a backend that only this process writes.
pub(crate) struct PollTimer {
    interval: Duration,
    next: Option<Instant>,
}

impl PollTimer {
    /// A timer that runs only if the backend is shared with other servers.
    pub(crate) fn new(is_shared: bool) -> Self {
        Self {
            interval: IDLE,
            next: is_shared.then(|| Instant::now() + IDLE),
        }
    }

    /// Waits until the next poll is due. Cancel safe.
    pub(crate) async fn due(&self) {
        match self.next {
            Some(next) => sleep_until(next).await,
            None => std::future::pending().await,
        }
    }

    /// Schedules the next poll; `found` says whether this one returned rows.
    pub(crate) fn record_poll(&mut self, found: bool) {
        self.interval = if found {
            BUSY
        } else {
            (self.interval * 2).min(IDLE)
        };
        self.next = self.next.map(|_| Instant::now() + self.interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_less_often_while_it_finds_nothing() {
        let mut timer = PollTimer::new(true);
        timer.record_poll(true);
        assert_eq!(timer.interval, BUSY);
        for _ in 0..10 {
            timer.record_poll(false);
        }
        assert_eq!(timer.interval, IDLE);
        assert!(PollTimer::new(false).next.is_none());
    }
}
