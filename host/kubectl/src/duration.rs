//! Durations in flags, such as `1h30m` or `45s`.

use std::time::Duration;

use crate::error::Failure;

/// The value of a flag; an error names the flag as kubectl does.
pub(crate) fn parse(flag: &str, text: &str) -> Result<Duration, Failure> {
    k3s_duration::parse(text).map_err(|source| Failure::Duration {
        flag: flag.to_owned(),
        text: text.to_owned(),
        source,
    })
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
