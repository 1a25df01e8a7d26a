//! Durations as Go writes them (`time.ParseDuration`), which is how Kubernetes and K3s take them in
//! flags and configuration files: `5m`, `1h30m`, `1.5s`, `500ms`.

use std::time::Duration;

/// A text is not a duration.
#[derive(Debug, PartialEq, Eq)]
pub struct GoDurationError;

impl std::fmt::Display for GoDurationError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("expected a duration such as 5m or 90s")
    }
}

impl std::error::Error for GoDurationError {}

/// Units with their length in seconds, longest name first where one starts with another.
const UNITS: &[(&str, f64)] = &[
    ("ms", 1e-3),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ns", 1e-9),
    ("h", 3600.0),
    ("m", 60.0),
    ("s", 1.0),
];

/// Reads a duration. Negative ones are refused: nothing here waits backwards.
///
/// # Errors
/// When the text is not a sequence of numbers with units, or longer than a `Duration` can hold.
pub fn parse_go_duration(text: &str) -> Result<Duration, GoDurationError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(GoDurationError);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let (part, after) = first_part(rest)?;
        total = total.checked_add(part).ok_or(GoDurationError)?;
        rest = after;
    }
    Ok(total)
}

/// The first number with its unit, and what follows it.
fn first_part(text: &str) -> Result<(Duration, &str), GoDurationError> {
    let is_number = |b: &u8| b.is_ascii_digit() || *b == b'.';
    let digits = text.bytes().take_while(is_number).count();
    let (number, after) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| GoDurationError)?;
    let (unit, secs) = UNITS
        .iter()
        .find(|(unit, _)| after.starts_with(unit))
        .ok_or(GoDurationError)?;
    let part = Duration::try_from_secs_f64(number * secs).map_err(|_| GoDurationError)?;
    Ok((part, after.strip_prefix(unit).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, ms) in [
            ("0", 0),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1500),
            ("500ms", 500),
            ("1m500ms", 60_500),
        ] {
            assert_eq!(
                parse_go_duration(text),
                Ok(Duration::from_millis(ms)),
                "{text}"
            );
        }
        for bad in ["", "5", "m", "-1s", "1d", "1s ", "s1", "1..5s", "1e400h"] {
            assert_eq!(parse_go_duration(bad), Err(GoDurationError), "{bad}");
        }
    }
}
