//! Durations as flags give them: Go's form, such as `1h30m` or `45s`.

use std::time::Duration;

use crate::error::Failure;

/// A duration; `0` needs no unit.
pub(crate) fn parse(flag: &str, text: &str) -> Result<Duration, Failure> {
    let bad = || {
        Failure::local(format!(
            "invalid argument {text:?} for \"{flag}\" flag: time: invalid duration {text:?}"
        ))
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(bad());
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(bad)?;
        let (number, after) = rest.split_at(digits);
        let end = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return Err(bad()),
        };
        total += number.parse::<f64>().map_err(|_| bad())? * scale;
        rest = after;
    }
    Duration::try_from_secs_f64(total).map_err(|_| bad())
}

/// The same in seconds, rounded up and at least one.
pub(crate) fn whole_seconds(flag: &str, text: &str) -> Result<u64, Failure> {
    let exact = parse(flag, text)?;
    Ok((exact.as_secs() + u64::from(exact.subsec_nanos() > 0)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let seconds = |text| whole_seconds("--since", text);
        assert_eq!(seconds("1h30m").unwrap(), 5400);
        assert_eq!(seconds("1.5s").unwrap(), 2);
        assert_eq!(seconds("200ms").unwrap(), 1);
        assert_eq!(parse("--timeout", "0").unwrap(), Duration::ZERO);
        for bad in ["", "5", "5x", "s", "."] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
