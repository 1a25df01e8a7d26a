//! Values that Traefik's specs write in more than one way.

use k3s_plugin_sdk::Sentence;

use std::time::Duration;

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
    pub(crate) fn millis(&self) -> Result<u64, Sentence> {
        match self {
            Self::Number(seconds) => u64::try_from(*seconds)
                .map(|s| s.saturating_mul(1000))
                .map_err(|_| format!("{seconds} is not a duration").into()),
            Self::Text(text) => match text.parse::<u64>() {
                Ok(seconds) => Ok(seconds.saturating_mul(1000)),
                Err(_) => go_duration(text),
            },
        }
    }
}

/// Milliseconds of an optional duration.
pub(crate) fn millis_or(value: Option<&NumberOrText>, default: u64) -> Result<u64, Sentence> {
    value.map_or(Ok(default), NumberOrText::millis)
}

/// A Go duration (`1h2m3.5s`), rounded to milliseconds.
fn go_duration(text: &str) -> Result<u64, Sentence> {
    let duration = k3s_duration::parse(text).map_err(|error| error.to_string())?;
    let rounded = duration
        .saturating_add(Duration::from_micros(500))
        .as_millis();
    Ok(u64::try_from(rounded).unwrap_or(u64::MAX))
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
