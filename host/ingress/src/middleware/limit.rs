//! Layers that let some through: addresses, requests per period, requests at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use ipnet::IpNet;
use k3s_base::Clock;
use k3s_serve::{Body, Guarded};
use parking_lot::Mutex;

use super::source::{Source, Strategy};
use super::{Answer, Exchange, Layer, Next, answer};
use crate::error::MiddlewareError;
use crate::model;
use crate::table::rule::cidr;

/// Sources remembered at a time (Traefik's own bound); beyond it those that are full again go, and if
/// there is none, all: a flood of sources must not cost memory.
const MAX_SOURCES: usize = 65_536;

/// `ipAllowList`.
#[derive(Debug)]
pub(crate) struct AllowList {
    ranges: Vec<IpNet>,
    strategy: Strategy,
}

impl AllowList {
    pub(crate) fn new(
        ranges: &[String],
        strategy: &model::IpStrategy,
    ) -> Result<Self, MiddlewareError> {
        let ranges = ranges
            .iter()
            .map(|range| cidr(range))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            ranges,
            strategy: Strategy::new(strategy)?,
        })
    }
}

impl Layer for AllowList {
    fn handle<'a>(&'a self, exchange: Exchange, next: Next<'a>) -> Answer<'a> {
        let address = self.strategy.address(&exchange);
        if address.is_some_and(|address| self.ranges.iter().any(|range| range.contains(&address))) {
            return next.run(exchange);
        }
        Box::pin(async { answer(StatusCode::FORBIDDEN, "Forbidden") })
    }
}

/// `rateLimit`: a token bucket per source.
#[derive(Debug)]
pub(crate) struct RateLimit {
    source: Source,
    /// Seconds per token.
    interval: f64,
    burst: f64,
    clock: Clock,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Duration,
}

impl RateLimit {
    pub(crate) fn new(settings: &model::RateLimit, clock: Clock) -> Result<Self, MiddlewareError> {
        if settings.average > 0 && settings.period_ms == 0 {
            return Err(MiddlewareError::Period);
        }
        #[allow(clippy::cast_precision_loss, reason = "limits are far below 2^52")]
        let (average, period_ms, burst) = (
            settings.average as f64,
            settings.period_ms as f64,
            settings.burst.max(1) as f64,
        );
        let interval = if settings.average == 0 {
            0.0
        } else {
            period_ms / 1000.0 / average
        };
        let source = Source::new(&settings.source)?;
        Ok(Self {
            source,
            interval,
            burst,
            clock,
            buckets: Mutex::default(),
        })
    }

    /// Takes a token, or says after how many seconds there will be one.
    fn take(&self, key: String) -> Result<(), f64> {
        if self.interval <= 0.0 {
            return Ok(());
        }
        let now = self.clock.elapsed();
        let mut buckets = self.buckets.lock();
        if buckets.len() >= MAX_SOURCES && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| self.refilled(bucket, now) < self.burst);
            if buckets.len() >= MAX_SOURCES {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket {
            tokens: self.burst,
            at: now,
        });
        bucket.tokens = self.refilled(bucket, now);
        bucket.at = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        Err((1.0 - bucket.tokens) * self.interval)
    }

    fn refilled(&self, bucket: &Bucket, now: Duration) -> f64 {
        (bucket.tokens + now.saturating_sub(bucket.at).as_secs_f64() / self.interval)
            .min(self.burst)
    }
}

impl Layer for RateLimit {
    fn handle<'a>(&'a self, exchange: Exchange, next: Next<'a>) -> Answer<'a> {
        match self.take(self.source.key(&exchange)) {
            Ok(()) => next.run(exchange),
            Err(seconds) => Box::pin(async move { too_many(seconds) }),
        }
    }
}

fn too_many(seconds: f64) -> Response<Body> {
    let mut response = answer(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
    if let Ok(value) = HeaderValue::from_str(&format!("{:.0}", seconds.ceil())) {
        response
            .headers_mut()
            .insert(http::header::RETRY_AFTER, value);
    }
    response
}

/// `inFlightReq`.
#[derive(Debug)]
pub(crate) struct InFlight {
    source: Source,
    amount: u64,
    /// Sources with requests under way.
    counts: Arc<Mutex<HashMap<String, u64>>>,
}

/// One request under way.
#[derive(Debug)]
struct Counted {
    key: String,
    counts: Arc<Mutex<HashMap<String, u64>>>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

impl InFlight {
    pub(crate) fn new(settings: &model::InFlight) -> Result<Self, MiddlewareError> {
        Ok(Self {
            source: Source::new(&settings.source)?,
            amount: settings.amount,
            counts: Arc::default(),
        })
    }

    fn enter(&self, key: String) -> Option<Counted> {
        let mut counts = self.counts.lock();
        let count = counts.entry(key.clone()).or_default();
        if *count >= self.amount {
            return None;
        }
        *count += 1;
        Some(Counted {
            key,
            counts: self.counts.clone(),
        })
    }
}

impl Layer for InFlight {
    fn handle<'a>(&'a self, exchange: Exchange, next: Next<'a>) -> Answer<'a> {
        let Some(counted) = self.enter(self.source.key(&exchange)) else {
            return Box::pin(async { answer(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests") });
        };
        Box::pin(async move {
            // The request is under way until its answer's last byte.
            next.run(exchange)
                .await
                .map(|body| Guarded::new(body, counted).boxed())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_refills_with_time() {
        let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
        let settings = model::RateLimit {
            average: 10,
            period_ms: 1000,
            burst: 2,
            source: model::Source::Host,
        };
        let limit = RateLimit::new(&settings, clock.clone()).unwrap();
        let take = |key: &str| limit.take(key.to_owned()).is_ok();
        assert_eq!(
            [take("a"), take("a"), take("a"), take("b")],
            [true, true, false, true]
        );
        clock.advance(Duration::from_millis(100));
        assert_eq!([take("a"), take("a")], [true, false]);
    }

    #[test]
    fn requests_under_way_are_counted_per_source() {
        let settings = model::InFlight {
            amount: 1,
            source: model::Source::Host,
        };
        let limit = InFlight::new(&settings).unwrap();
        let first = limit.enter("a".into()).unwrap();
        assert!(limit.enter("a".into()).is_none() && limit.enter("b".into()).is_some());
        drop(first);
        assert!(limit.enter("a".into()).is_some());
    }
}
