//! Timestamps as objects carry them.

use std::time::Duration;

use jiff::Timestamp;

/// Reads an RFC 3339 time; nothing for an empty or unreadable one.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// The shorter of two waits, of which there may be only one.
pub(crate) fn sooner(wait: Option<Duration>, left: Duration) -> Duration {
    match wait {
        Some(other) => other.min(left),
        None => left,
    }
}

/// How long after `now` the moment `from + span` is; `None` once it has come.
pub(crate) fn until(now: Timestamp, from: Timestamp, span: Duration) -> Option<Duration> {
    let due = from.checked_add(span).ok()?;
    let left = due.duration_since(now);
    if !left.is_positive() {
        return None;
    }
    Some(left.unsigned_abs())
}
