//! When a failed plugin may run again, and which inputs are quarantined. Pure: the caller brings the
//! time.

use std::collections::VecDeque;
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
    /// Failures that one input may cause before it is quarantined, so that it cannot use up the
    /// restarts of all others.
    pub input_failures: u32,
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
            input_failures: 2,
        }
    }
}

/// Inputs remembered at a time; the oldest is forgotten for a new one.
const SUSPECTS: usize = 64;

/// Whether a plugin may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It may be called.
    Ready,
    /// It waits until this moment before it is started again.
    Restarting(Duration),
    /// It is left alone until this moment.
    Quarantined(Duration),
}

/// The failures of a plugin, and what follows from them.
#[derive(Debug)]
pub(crate) struct Supervision {
    policy: Policy,
    /// Failures in a row.
    failures: u32,
    last_failure: Duration,
    pub(crate) last_error: String,
    /// Failures since the beginning.
    pub(crate) total: u64,
    suspects: VecDeque<Suspect>,
}

/// An input during which the plugin failed.
#[derive(Debug)]
struct Suspect {
    input: String,
    failures: u32,
    last_failure: Duration,
    cause: String,
}

impl Supervision {
    pub(crate) fn new(policy: Policy) -> Self {
        let suspects = VecDeque::new();
        Self {
            policy,
            failures: 0,
            last_failure: Duration::ZERO,
            last_error: String::new(),
            total: 0,
            suspects,
        }
    }

    /// The plugin failed on `input` (empty where there is none to blame).
    pub(crate) fn failed_on(&mut self, now: Duration, cause: &str, input: &str) {
        self.failed(now, cause);
        if input.is_empty() {
            return;
        }
        self.last_error = format!("{cause} (with {input})");
        match self.suspects.iter_mut().find(|s| s.input == input) {
            Some(suspect) => {
                suspect.failures += 1;
                suspect.last_failure = now;
                cause.clone_into(&mut suspect.cause);
            }
            None => {
                if self.suspects.len() >= SUSPECTS {
                    self.suspects.pop_front();
                }
                let (input, cause) = (input.to_owned(), cause.to_owned());
                self.suspects.push_back(Suspect {
                    input,
                    failures: 1,
                    last_failure: now,
                    cause,
                });
            }
        }
    }

    /// Whether an input is in quarantine: until when, and why.
    pub(crate) fn quarantine_of(&self, now: Duration, input: &str) -> Option<(Duration, String)> {
        let suspect = self
            .suspects
            .iter()
            .find(|s| s.input == input && s.failures >= self.policy.input_failures)?;
        let until = suspect.last_failure + self.policy.quarantine;
        (now < until).then(|| (until, suspect.cause.clone()))
    }

    /// A call with this input succeeded.
    pub(crate) fn clear(&mut self, input: &str) {
        if !input.is_empty() && !self.suspects.is_empty() {
            self.suspects.retain(|s| s.input != input);
        }
    }

    pub(crate) fn failed(&mut self, now: Duration, cause: &str) {
        if now.saturating_sub(self.last_failure)
            > self.policy.healthy_after + self.policy.quarantine
        {
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
        let Some(earlier) = self.failures.checked_sub(1) else {
            return Health::Ready;
        };
        if self.failures > self.policy.restarts {
            let until = self.last_failure + self.policy.quarantine;
            return if now < until {
                Health::Quarantined(until)
            } else {
                Health::Ready
            };
        }
        let until = self.last_failure + self.policy.backoff.delay(earlier);
        if now < until {
            Health::Restarting(until)
        } else {
            Health::Ready
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);

    #[test]
    fn three_restarts_then_quarantine_then_one_more_try() {
        let mut supervision = Supervision::new(Policy::default());
        let mut now = SEC;
        for delay_ms in [200, 400, 800] {
            supervision.failed(now, "trap");
            let until = now + Duration::from_millis(delay_ms);
            assert_eq!(supervision.health(now), Health::Restarting(until));
            assert_eq!(supervision.health(until), Health::Ready);
            now = until;
        }
        supervision.failed(now, "trap");
        assert_eq!(supervision.health(now), Health::Quarantined(now + SEC * 60));
        now += SEC * 60;
        assert_eq!(supervision.health(now), Health::Ready);
        supervision.failed(now, "trap");
        assert_eq!(
            supervision.health(now),
            Health::Quarantined(now + SEC * 60),
            "no further restarts after quarantine"
        );
        assert_eq!(supervision.total, 5);
    }

    #[test]
    fn an_input_that_fails_twice_is_shunned_for_a_while() {
        let mut supervision = Supervision::new(Policy::default());
        supervision.failed_on(SEC, "trap", "pod a");
        assert_eq!(supervision.last_error, "trap (with pod a)");
        assert_eq!(supervision.quarantine_of(SEC, "pod a"), None);
        supervision.failed_on(SEC * 2, "trap again", "pod a");
        assert_eq!(
            supervision.quarantine_of(SEC * 3, "pod a"),
            Some((SEC * 62, "trap again".to_owned()))
        );
        assert_eq!(supervision.quarantine_of(SEC * 3, "pod b"), None);
        assert_eq!(
            supervision.quarantine_of(SEC * 62, "pod a"),
            None,
            "one more try"
        );
        supervision.clear("pod a");
        supervision.failed_on(SEC * 63, "trap", "pod a");
        assert_eq!(
            supervision.quarantine_of(SEC * 64, "pod a"),
            None,
            "the count starts over"
        );
    }

    #[test]
    fn suspects_are_bounded() {
        let mut supervision = Supervision::new(Policy::default());
        for i in 0..1000 {
            supervision.failed_on(SEC, "trap", &format!("pod {i}"));
        }
        assert_eq!(supervision.suspects.len(), SUSPECTS);
    }

    #[test]
    fn a_healthy_minute_forgets() {
        let mut supervision = Supervision::new(Policy::default());
        for i in 1..=3 {
            supervision.failed(SEC * i, "trap");
        }
        supervision.succeeded(SEC * 64);
        supervision.failed(SEC * 65, "trap");
        assert_eq!(
            supervision.health(SEC * 65),
            Health::Restarting(SEC * 65 + Duration::from_millis(200))
        );
    }
}
