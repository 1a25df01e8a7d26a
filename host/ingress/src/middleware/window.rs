//! What happened in the last ten seconds, in parts of one second.

use std::ops::Range;
use std::time::Duration;

const SECONDS: u64 = 10;
/// Latencies are kept in classes that grow by a tenth: 0.1 ms to more than an hour.
const CLASSES: usize = 190;
const GROWTH: f64 = 1.1;
const FIRST_MS: f64 = 0.1;

/// A window that moves with time.
#[derive(Debug, Default)]
pub(crate) struct Window {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    second: u64,
    total: u64,
    network_errors: u64,
    /// Status codes below 600, counted.
    codes: Vec<(u16, u64)>,
    latencies: Vec<(usize, u64)>,
}

impl Window {
    pub(crate) fn note(&mut self, now: Duration, took: Duration, code: u16, network_error: bool) {
        let second = now.as_secs();
        self.parts.retain(|part| part.second + SECONDS > second);
        if self.parts.last().is_none_or(|part| part.second != second) {
            self.parts.push(Part {
                second,
                total: 0,
                network_errors: 0,
                codes: Vec::new(),
                latencies: Vec::new(),
            });
        }
        let Some(part) = self.parts.last_mut() else {
            return;
        };
        part.total += 1;
        part.network_errors += u64::from(network_error);
        count(&mut part.codes, code);
        count(&mut part.latencies, class(took));
    }

    pub(crate) fn network_error_ratio(&self) -> f64 {
        ratio(
            self.parts.iter().map(|part| part.network_errors).sum(),
            self.parts.iter().map(|part| part.total).sum(),
        )
    }

    /// Answers with these codes among answers with those.
    pub(crate) fn response_code_ratio(&self, these: &Range<u16>, those: &Range<u16>) -> f64 {
        let within = |range: &Range<u16>| {
            let codes = self.parts.iter().flat_map(|part| &part.codes);
            codes
                .filter(|(code, _)| range.contains(code))
                .map(|(_, count)| count)
                .sum()
        };
        ratio(within(these), within(those))
    }

    /// Below which this share (in percent) of the answers came.
    pub(crate) fn latency_ms(&self, quantile: f64) -> f64 {
        let mut classes = [0u64; CLASSES];
        for (class, count) in self.parts.iter().flat_map(|part| &part.latencies) {
            if let Some(sum) = classes.get_mut(*class) {
                *sum += count;
            }
        }
        let total: u64 = classes.iter().sum();
        let mut seen = 0;
        for (class, count) in classes.iter().enumerate() {
            seen += count;
            if total > 0 && ratio(seen, total) >= quantile / 100.0 {
                return FIRST_MS * GROWTH.powi(i32::try_from(class).unwrap_or(i32::MAX));
            }
        }
        0.0
    }
}

fn count<K: PartialEq>(counts: &mut Vec<(K, u64)>, key: K) {
    match counts.iter_mut().find(|(other, _)| *other == key) {
        Some((_, count)) => *count += 1,
        None => counts.push((key, 1)),
    }
}

fn class(took: Duration) -> usize {
    let steps = (took.as_secs_f64() * 1000.0 / FIRST_MS)
        .max(1.0)
        .log(GROWTH)
        .ceil();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and not negative"
    )]
    let class = steps as usize;
    class.min(CLASSES - 1)
}

#[allow(clippy::cast_precision_loss, reason = "counts of ten seconds")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_and_quantiles_of_ten_seconds() {
        let mut window = Window::default();
        let second = Duration::from_secs;
        for at in 0..100u64 {
            let (code, error) = if at % 4 == 0 {
                (502, true)
            } else {
                (200, false)
            };
            window.note(second(100), Duration::from_millis(at), code, error);
        }
        assert_eq!(window.network_error_ratio(), 0.25);
        assert_eq!(window.response_code_ratio(&(500..600), &(0..600)), 0.25);
        let median = window.latency_ms(50.0);
        assert!((45.0..56.0).contains(&median), "{median}");
        window.note(second(111), Duration::ZERO, 200, false);
        assert_eq!(window.network_error_ratio(), 0.0, "old parts are forgotten");
        assert_eq!(Window::default().latency_ms(50.0), 0.0);
    }
}
