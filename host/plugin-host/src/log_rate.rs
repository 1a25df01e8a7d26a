//! Keeps a talkative guest from filling the log: so many lines a second, the rest is counted.

use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(1);

/// A fixed window per second. Pure; the caller brings the time.
#[derive(Debug)]
pub(crate) struct LogRate {
    per_sec: u32,
    window: Duration,
    lines: u32,
    dropped: u64,
}

/// What to do with a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Write it; say first that so many were dropped, if any.
    Write { dropped_before: u64 },
    /// Drop it.
    Drop,
}

impl LogRate {
    pub(crate) fn new(per_sec: u32) -> Self {
        Self {
            per_sec,
            window: Duration::ZERO,
            lines: 0,
            dropped: 0,
        }
    }

    pub(crate) fn line(&mut self, now: Duration) -> Verdict {
        if now.saturating_sub(self.window) >= WINDOW {
            self.window = now;
            self.lines = 0;
        }
        if self.lines >= self.per_sec {
            self.dropped += 1;
            return Verdict::Drop;
        }
        self.lines += 1;
        Verdict::Write {
            dropped_before: std::mem::take(&mut self.dropped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_above_the_rate_are_counted() {
        let mut rate = LogRate::new(2);
        let at = Duration::from_millis;
        assert_eq!(rate.line(at(1500)), Verdict::Write { dropped_before: 0 });
        assert_eq!(rate.line(at(1600)), Verdict::Write { dropped_before: 0 });
        assert_eq!(rate.line(at(1700)), Verdict::Drop);
        assert_eq!(rate.line(at(2400)), Verdict::Drop);
        assert_eq!(rate.line(at(2500)), Verdict::Write { dropped_before: 2 });
    }
}
