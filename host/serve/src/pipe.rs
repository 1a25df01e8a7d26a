//! Copying bytes between two connections until both sides are done or the server stops.

use std::time::Duration;

use k3s_lifecycle::Tasks;
use tokio::io::{AsyncWriteExt, copy_bidirectional_with_sizes};

use crate::Io;

/// Bytes held per direction: enough for bulk copies, small enough for hundreds of sessions.
const BUFFER_BYTES: usize = 32 * 1024;
/// How long an interactive session may go on after the stop signal before it is closed.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Copies both ways until both directions have ended, one fails, or the stop grace is over; then
/// closes both. Returns the bytes that went from `a` to `b` and back.
pub async fn run(mut a: impl Io, mut b: impl Io, tasks: &Tasks) -> (u64, u64) {
    let stopping = tasks.stopping();
    let copied = tokio::select! {
        done = copy_bidirectional_with_sizes(&mut a, &mut b, BUFFER_BYTES, BUFFER_BYTES) => done.unwrap_or_else(|error| {
            tracing::debug!(%error, "pipe ended");
            (0, 0)
        }),
        () = async { stopping.cancelled().await; tokio::time::sleep(STOP_GRACE).await } => (0, 0),
    };
    // A peer that is gone already cannot be told.
    let (_a, _b) = (a.shutdown().await, b.shutdown().await);
    copied
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn bytes_go_both_ways_and_the_end_is_passed_on() {
        let tasks = Tasks::root("test");
        let (mut left, a) = tokio::io::duplex(64);
        let (mut right, b) = tokio::io::duplex(64);
        let group = tasks.clone();
        tasks.spawn("pipe", async move {
            run(a, b, &group).await;
        });
        left.write_all(b"ping").await.unwrap();
        left.shutdown().await.unwrap();
        let mut got = Vec::new();
        right.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"ping");
        right.write_all(b"pong").await.unwrap();
        drop(right);
        got.clear();
        left.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"pong");
        assert!(tasks.stop(Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn an_open_session_ends_after_the_stop_signal() {
        let tasks = Tasks::root("test");
        let (_left, a) = tokio::io::duplex(64);
        let (_right, b) = tokio::io::duplex(64);
        let group = tasks.clone();
        tasks.spawn("pipe", async move {
            run(a, b, &group).await;
        });
        assert!(tasks.stop(Duration::from_secs(8)).await);
    }
}
