//! When a failed plugin may run again. Pure: the caller brings the time.

use std::time::Duration;

use k3s_base::BackoffPolicy;

/// How often and how soon to restart.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Restarts in a row before quarantine.
    pub restarts: u32,
    /// How long to wait before each.
    pub backoff: BackoffPolicy,
    /// A failure longer ago than this is forgotten.
    pub healthy_after: Duration,
    /// How long quarantine lasts; then there is one more try.
    pub quarantine: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            restarts: 3,
            backoff: BackoffPolicy {
                base: Duration::from_millis(200),
                factor: 2.0,
                cap: Duration::from_secs(5),
                jitter: 0.0,
            },
            healthy_after: Duration::from_secs(60),
            quarantine: Duration::from_secs(60),
        }
    }
}

/// How a plugin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It may be called.
    Ready,
    /// It waits until this moment before it is started again.
    Restarting(Duration),
    /// It is left alone until this moment.
    Quarantined(Duration),
}

/// The record of a plugin's failures.
#[derive(Debug)]
pub(crate) struct Supervision {
    policy: Policy,
    /// Failures in a row.
    failures: u32,
    last_failure: Duration,
    pub(crate) last_error: String,
    /// Failures since the beginning.
    pub(crate) total: u64,
}

impl Supervision {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, failures: 0, last_failure: Duration::ZERO, last_error: String::new(), total: 0 }
    }

    pub(crate) fn failed(&mut self, now: Duration, cause: &str) {
        if now.saturating_sub(self.last_failure) > self.policy.healthy_after + self.policy.quarantine {
            self.failures = 0;
        }
        self.failures += 1;
        self.total += 1;
        self.last_failure = now;
        cause.clone_into(&mut self.last_error);
    }

    /// A call came back.
    pub(crate) fn succeeded(&mut self, now: Duration) {
        if self.failures > 0 && now.saturating_sub(self.last_failure) > self.policy.healthy_after {
            self.failures = 0;
        }
    }

    pub(crate) fn health(&self, now: Duration) -> Health {
        let Some(earlier) = self.failures.checked_sub(1) else { return Health::Ready };
        if self.failures > self.policy.restarts {
            let until = self.last_failure + self.policy.quarantine;
            return if now < until { Health::Quarantined(until) } else { Health::Ready };
        }
        let until = self.last_failure + self.policy.backoff.delay(earlier);
        if now < until { Health::Restarting(until) } else { Health::Ready }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);

    #[test]
    fn three_restarts_then_quarantine_then_one_more_try() {
        let mut record = Supervision::new(Policy::default());
        let mut now = SEC;
        for delay_ms in [200, 400, 800] {
            record.failed(now, "trap");
            let until = now + Duration::from_millis(delay_ms);
            assert_eq!(record.health(now), Health::Restarting(until));
            assert_eq!(record.health(until), Health::Ready);
            now = until;
        }
        record.failed(now, "trap");
        assert_eq!(record.health(now), Health::Quarantined(now + SEC * 60));
        now += SEC * 60;
        assert_eq!(record.health(now), Health::Ready);
        record.failed(now, "trap");
        assert_eq!(record.health(now), Health::Quarantined(now + SEC * 60), "no further restarts after quarantine");
        assert_eq!(record.total, 5);
    }

    #[test]
    fn a_healthy_minute_forgets() {
        let mut record = Supervision::new(Policy::default());
        for i in 1..=3 {
            record.failed(SEC * i, "trap");
        }
        record.succeeded(SEC * 64);
        record.failed(SEC * 65, "trap");
        assert_eq!(record.health(SEC * 65), Health::Restarting(SEC * 65 + Duration::from_millis(200)));
    }
}
