//! `circuitBreaker`: a target that fails is left alone for a while, then tried with a growing share of
//! requests (Traefik's, from `vulcand/oxy`).

use std::time::Duration;

use http::StatusCode;
use k3s_base::{Clock, Random};
use parking_lot::Mutex;

use super::window::Window;
use super::{Answer, Exchange, Layer, Next, answer};
use crate::error::MiddlewareError;
use crate::model::{self, BreakerCondition, BreakerMetric, BreakerTerm, Comparison};
use crate::proxy::NoAnswer;

/// A breaker.
pub(crate) struct CircuitBreaker {
    expression: Vec<BreakerTerm>,
    check_period: Duration,
    fallback: Duration,
    recovery: Duration,
    response_code: StatusCode,
    clock: Clock,
    random: Random,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    checked: Duration,
    window: Window,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Standby,
    /// Until then nothing passes.
    Tripped(Duration),
    /// Since then a growing share passes.
    Recovering(Duration),
}

impl CircuitBreaker {
    pub(crate) fn new(
        settings: &model::CircuitBreaker,
        clock: Clock,
        random: Random,
    ) -> Result<Self, MiddlewareError> {
        let code = settings.response_code;
        let breaker = Self {
            expression: settings.expression.clone(),
            check_period: Duration::from_millis(settings.check_period_ms),
            fallback: Duration::from_millis(settings.fallback_duration_ms),
            recovery: Duration::from_millis(settings.recovery_duration_ms),
            response_code: StatusCode::from_u16(code)
                .map_err(|_| MiddlewareError::StatusCode(code))?,
            clock,
            random,
            state: Mutex::new(State {
                phase: Phase::Standby,
                checked: Duration::ZERO,
                window: Window::default(),
            }),
        };
        let known = evaluate(&breaker.expression, &Window::default());
        known.map(|_| breaker).ok_or(MiddlewareError::Expression)
    }

    fn admits(&self, now: Duration) -> bool {
        let mut state = self.state.lock();
        if let Phase::Tripped(until) = state.phase
            && now >= until
        {
            state.phase = Phase::Recovering(now);
            state.window = Window::default();
        }
        match state.phase {
            Phase::Standby => true,
            Phase::Tripped(_) => false,
            Phase::Recovering(since) => {
                let passed = now.saturating_sub(since);
                if passed >= self.recovery {
                    state.phase = Phase::Standby;
                    return true;
                }
                self.random.unit() < passed.as_secs_f64() / self.recovery.as_secs_f64()
            }
        }
    }

    fn note(&self, now: Duration, took: Duration, code: u16, network_error: bool) {
        let mut state = self.state.lock();
        state.window.note(now, took, code, network_error);
        if now.saturating_sub(state.checked) < self.check_period
            || matches!(state.phase, Phase::Tripped(_))
        {
            return;
        }
        state.checked = now;
        if evaluate(&self.expression, &state.window).unwrap_or(false) {
            state.phase = Phase::Tripped(now + self.fallback);
        }
    }
}

/// None for a malformed expression.
fn evaluate(terms: &[BreakerTerm], window: &Window) -> Option<bool> {
    let mut stack = Vec::new();
    for term in terms {
        let value = match term {
            BreakerTerm::Condition(condition) => holds(condition, window)?,
            BreakerTerm::All(count) => take(&mut stack, *count)?.iter().all(|value| *value),
            BreakerTerm::Any(count) => take(&mut stack, *count)?.iter().any(|value| *value),
        };
        stack.push(value);
    }
    stack.pop().filter(|_| stack.is_empty())
}

fn take(stack: &mut Vec<bool>, count: u32) -> Option<Vec<bool>> {
    let from = stack.len().checked_sub(usize::try_from(count).ok()?)?;
    Some(stack.split_off(from))
}

fn holds(condition: &BreakerCondition, window: &Window) -> Option<bool> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "status codes, clamped by the cast"
    )]
    let codes = |from: usize| {
        Some(*condition.arguments.get(from)? as u16..*condition.arguments.get(from + 1)? as u16)
    };
    let value = match condition.metric {
        BreakerMetric::NetworkErrorRatio => window.network_error_ratio(),
        BreakerMetric::ResponseCodeRatio => window.response_code_ratio(&codes(0)?, &codes(2)?),
        BreakerMetric::LatencyAtQuantileMs => window.latency_ms(*condition.arguments.first()?),
    };
    let limit = condition.value;
    Some(match condition.comparison {
        Comparison::Less => value < limit,
        Comparison::LessOrEqual => value <= limit,
        Comparison::Equal => (value - limit).abs() < f64::EPSILON,
        Comparison::NotEqual => (value - limit).abs() >= f64::EPSILON,
        Comparison::GreaterOrEqual => value >= limit,
        Comparison::Greater => value > limit,
    })
}

impl Layer for CircuitBreaker {
    fn handle<'a>(&'a self, exchange: Exchange, next: Next<'a>) -> Answer<'a> {
        let started = self.clock.elapsed();
        if !self.admits(started) {
            let code = self.response_code;
            return Box::pin(
                async move { answer(code, code.canonical_reason().unwrap_or_default()) },
            );
        }
        Box::pin(async move {
            let response = next.run(exchange).await;
            let now = self.clock.elapsed();
            let network_error = response.extensions().get::<NoAnswer>().is_some();
            self.note(
                now,
                now.saturating_sub(started),
                response.status().as_u16(),
                network_error,
            );
            response
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_trips_waits_and_recovers() {
        let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
        let condition = BreakerCondition {
            metric: BreakerMetric::ResponseCodeRatio,
            arguments: vec![500.0, 600.0, 0.0, 600.0],
            comparison: Comparison::Greater,
            value: 0.3,
        };
        let settings = model::CircuitBreaker {
            expression: vec![BreakerTerm::Condition(condition)],
            check_period_ms: 0,
            fallback_duration_ms: 1000,
            recovery_duration_ms: 1000,
            response_code: 503,
        };
        let breaker = CircuitBreaker::new(&settings, clock.clone(), Random::seeded(1)).unwrap();
        let note = |code| breaker.note(clock.elapsed(), Duration::ZERO, code, false);
        clock.advance(Duration::from_secs(5));
        (0..9).for_each(|_| note(200));
        (0..3).for_each(|_| note(500));
        assert!(breaker.admits(clock.elapsed()), "a quarter is not too much");
        (0..3).for_each(|_| note(500));
        assert!(!breaker.admits(clock.elapsed()));
        clock.advance(Duration::from_millis(1001));
        assert!(
            !breaker.admits(clock.elapsed()),
            "at its beginning recovery lets nobody pass"
        );
        clock.advance(Duration::from_millis(1001));
        assert!(breaker.admits(clock.elapsed()));
        let broken = model::CircuitBreaker {
            expression: vec![BreakerTerm::All(1)],
            ..settings
        };
        assert!(CircuitBreaker::new(&broken, clock, Random::seeded(1)).is_err());
    }
}
