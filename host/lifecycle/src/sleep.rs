//! Waiting for a moment that may never come, as one branch of a `select!`.

use std::time::Duration;

/// Sleeps for `delay`; without one it never resolves.
pub async fn sleep_opt(delay: Option<Duration>) {
    match delay {
        Some(delay) => tokio::time::sleep(delay).await,
        None => std::future::pending().await,
    }
}
