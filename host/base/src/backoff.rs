//! Exponential backoff with a cap and jitter: how long to wait before the next attempt.

use std::time::Duration;

use crate::Random;

/// The shape of a backoff; the running state is [`Backoff`].
#[derive(Clone, Copy, Debug)]
pub struct BackoffPolicy {
    /// The first delay.
    pub base: Duration,
    /// Each delay is the one before times this.
    pub factor: f64,
    /// No delay is longer than this (before jitter).
    pub cap: Duration,
    /// A delay is lengthened by a random share of itself up to this (0.0 = none).
    pub jitter: f64,
}

/// One sequence of attempts.
#[derive(Clone, Debug)]
pub struct Backoff {
    policy: BackoffPolicy,
    tries: u32,
}

impl BackoffPolicy {
    /// A sequence that starts at the first delay.
    #[must_use]
    pub fn start(self) -> Backoff {
        Backoff {
            policy: self,
            tries: 0,
        }
    }

    /// The delay before attempt number `tries` (0 = the first), without jitter.
    #[must_use]
    pub fn delay(&self, tries: u32) -> Duration {
        let exponent = i32::try_from(tries).unwrap_or(i32::MAX);
        let secs = self.base.as_secs_f64() * self.factor.powi(exponent);
        let cap = self.cap.as_secs_f64();
        Duration::from_secs_f64(if secs.is_finite() { secs.min(cap) } else { cap })
    }
}

impl Backoff {
    /// The next delay; each call counts one more failed attempt.
    pub fn next_delay(&mut self, random: &Random) -> Duration {
        let delay = self.policy.delay(self.tries);
        self.tries = self.tries.saturating_add(1);
        delay.mul_f64(1.0 + self.policy.jitter.max(0.0) * random.unit())
    }

    /// Failed attempts so far.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_cap_and_start_over() {
        let policy = BackoffPolicy {
            base: Duration::from_secs(10),
            factor: 2.0,
            cap: Duration::from_secs(300),
            jitter: 0.0,
        };
        let mut backoff = policy.start();
        let random = Random::seeded(1);
        let secs: Vec<u64> = (0..7)
            .map(|_| backoff.next_delay(&random).as_secs())
            .collect();
        assert_eq!(secs, [10, 20, 40, 80, 160, 300, 300]);
        backoff.reset();
        assert_eq!(backoff.next_delay(&random).as_secs(), 10);
    }

    #[test]
    fn jitter_only_lengthens() {
        let policy = BackoffPolicy {
            base: Duration::from_secs(1),
            factor: 2.0,
            cap: Duration::from_secs(1),
            jitter: 0.5,
        };
        let random = Random::seeded(7);
        let mut backoff = policy.start();
        for _ in 0..100 {
            let delay = backoff.next_delay(&random);
            assert!(delay >= Duration::from_secs(1) && delay <= Duration::from_millis(1500));
        }
    }
}
