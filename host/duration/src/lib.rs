//! Durations as Go writes them, such as `1h30m` or `1.5s`: flags, kubelet arguments and the specs of
//! Traefik have this form. A crate of its own without dependencies, so that plugins can use it too.

use std::time::Duration;

/// Text that is not a duration. The message is Go's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidDuration {
    text: String,
}

impl std::fmt::Display for InvalidDuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "time: invalid duration {:?}", self.text)
    }
}

impl std::error::Error for InvalidDuration {}

/// Units and their nanoseconds. Go accepts both the micro sign and the Greek letter.
const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration, by the rules of Go's `time.ParseDuration`: numbers with an optional fraction, each
/// followed by a unit (`ns`, `us`, `ms`, `s`, `m`, `h`). `0` needs no unit. Fractions of a nanosecond are
/// dropped.
///
/// ```
/// use std::time::Duration;
///
/// assert_eq!(k3s_duration::parse("1h30m"), Ok(Duration::from_secs(5400)));
/// assert_eq!(k3s_duration::parse("1.5s"), Ok(Duration::from_millis(1500)));
/// assert!(k3s_duration::parse("5").is_err());
/// ```
///
/// # Errors
/// The text has another form, is negative, or exceeds Go's maximum of about 292 years.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let nanos = nanoseconds(text).filter(|nanos| i64::try_from(*nanos).is_ok());
    nanos
        .map(Duration::from_nanos)
        .ok_or_else(|| InvalidDuration {
            text: text.to_owned(),
        })
}

fn nanoseconds(text: &str) -> Option<u64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (number, after) = split_at_first(rest, |c| !is_numeric(c));
        let (unit, after) = split_at_first(after, is_numeric);
        let (_, unit_nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(scaled(number, *unit_nanos)?)?;
        rest = after;
    }
    Some(total)
}

fn is_numeric(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

fn split_at_first(text: &str, is_end: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(is_end).unwrap_or(text.len());
    text.split_at(end)
}

/// `number` units in nanoseconds.
fn scaled(number: &str, unit_nanos: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() {
        0
    } else {
        whole.parse::<u64>().ok()?
    };
    let whole = whole.checked_mul(unit_nanos)?;
    whole.checked_add(scaled_fraction(fraction, unit_nanos)?)
}

/// The digits after the point, digit by digit; those that are less than a nanosecond are dropped.
fn scaled_fraction(digits: &str, unit_nanos: u64) -> Option<u64> {
    let mut numerator = 0_u64;
    let mut denominator = 1_u64;
    for digit in digits.chars() {
        let digit = u64::from(digit.to_digit(10)?);
        // 13 digits are enough for a nanosecond of an hour.
        if denominator < 10_000_000_000_000 {
            numerator = numerator * 10 + digit;
            denominator *= 10;
        }
    }
    let nanos = u128::from(numerator) * u128::from(unit_nanos) / u128::from(denominator);
    u64::try_from(nanos).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanos) in [
            ("0", 0),
            ("+5s", 5_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1m30s", 90_000_000_000),
            ("200ms", 200_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("3us", 3_000),
            ("3µs", 3_000),
            ("3μs", 3_000),
            ("1h0.000000000001h", 3_600_000_000_003),
            ("1.00000000000000000009s", 1_000_000_000),
            ("2562047h47m16.854775807s", 9_223_372_036_854_775_807),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_named() {
        for text in [
            "",
            "5",
            "5x",
            "1y",
            "s",
            ".",
            ".s",
            "-1s",
            "fast",
            "1.2.3s",
            "1 s",
            "+",
            "3000000h",
            "2562047h47m16.854775808s",
            "99999999999999999999s",
        ] {
            let error = parse(text).map_err(|error| error.to_string());
            assert_eq!(error, Err(format!("time: invalid duration {text:?}")));
        }
    }
}
