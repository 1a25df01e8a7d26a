//! Values that Traefik's specs write in more than one way.

use serde::Deserialize;

/// A number or a text.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum NumberOrText {
    Number(i64),
    Text(String),
}

impl NumberOrText {
    /// Milliseconds: a Go duration (`1m30s`), or a number of seconds.
    pub(crate) fn millis(&self) -> Result<u64, String> {
        match self {
            Self::Number(seconds) => u64::try_from(*seconds)
                .map(|s| s.saturating_mul(1000))
                .map_err(|_| format!("{seconds} is no duration")),
            Self::Text(text) => text
                .parse::<u64>()
                .map(|s| s.saturating_mul(1000))
                .or_else(|_| go_duration(text)),
        }
    }
}

/// Milliseconds of an optional duration.
pub(crate) fn millis_or(value: Option<&NumberOrText>, default: u64) -> Result<u64, String> {
    value.map_or(Ok(default), NumberOrText::millis)
}

/// `1h2m3.5s`, `100ms`, in whole milliseconds.
fn go_duration(text: &str) -> Result<u64, String> {
    let bad = || format!("{text:?} is no duration");
    let mut rest = text;
    let mut millis = 0.0;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| c.is_ascii_alphabetic() || c == 'µ')
            .ok_or_else(bad)?;
        let (number, tail) = rest.split_at(end);
        let number: f64 = number.parse().map_err(|_| bad())?;
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let factor = match unit {
            "h" => 3_600_000.0,
            "m" => 60_000.0,
            "s" => 1000.0,
            "ms" => 1.0,
            "us" | "µs" => 0.001,
            "ns" => 0.000_001,
            _ => return Err(bad()),
        };
        millis += number * factor;
        rest = tail;
    }
    if millis < 0.0 {
        return Err(bad());
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above, saturating"
    )]
    let whole = millis.round() as u64;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        let millis = |text: &str| NumberOrText::Text(text.to_owned()).millis();
        assert_eq!(millis("1m30s"), Ok(90_000));
        assert_eq!(millis("100ms"), Ok(100));
        assert_eq!(millis("1.5s"), Ok(1500));
        assert_eq!(millis("10"), Ok(10_000));
        assert_eq!(NumberOrText::Number(2).millis(), Ok(2000));
        for bad in ["", "fast", "1y", "-1s"] {
            assert!(millis(bad).is_err(), "{bad}");
        }
    }
}
