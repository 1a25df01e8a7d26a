//! When to look for rows of other writers: often while they write, seldom while they do not.
//!
//! A backend tells nobody of new rows, so this is the one place that polls, and only where another
//! process may write the same log. A store that writes by itself learns of foreign rows anyway, from
//! the refusal of its next batch.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Between looks while others write: an indexed read of some tenths of a millisecond each.
const BUSY: Duration = Duration::from_millis(10);

/// Between looks while nobody does (kine's interval). One look is one indexed read.
const IDLE: Duration = Duration::from_secs(1);

/// The next look, if there is ever one.
pub(crate) struct Follower {
    interval: Duration,
    next: Option<Instant>,
}

impl Follower {
    /// Looks only at a backend that others may write to.
    pub(crate) fn new(shared: bool) -> Self {
        Self {
            interval: IDLE,
            next: shared.then(|| Instant::now() + IDLE),
        }
    }

    /// Waits until it is time to look. Cancel safe.
    pub(crate) async fn due(&self) {
        match self.next {
            Some(next) => sleep_until(next).await,
            None => std::future::pending().await,
        }
    }

    /// After a look: `found` says whether there was something.
    pub(crate) fn looked(&mut self, found: bool) {
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
    fn it_looks_less_and_less_often_while_nothing_is_found() {
        let mut follower = Follower::new(true);
        follower.looked(true);
        assert_eq!(follower.interval, BUSY);
        for _ in 0..10 {
            follower.looked(false);
        }
        assert_eq!(follower.interval, IDLE);
        assert!(Follower::new(false).next.is_none());
    }
}
