//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// Calls `check` until it gives a value; at the deadline the error names `what` and the last reason.
///
/// # Errors
/// When the deadline passes.
pub fn until<T>(what: &str, deadline: Duration, mut check: impl FnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        match check() {
            Ok(value) => return Ok(value),
            Err(reason) if Instant::now() >= end => {
                bail!("{what}: not after {deadline:?}: {reason:#}")
            }
            Err(_) => std::thread::sleep(INTERVAL),
        }
    }
}
