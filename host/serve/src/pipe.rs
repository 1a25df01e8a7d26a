//! Copying bytes between two connections until both sides are done or the server stops.

use std::io;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_lifecycle::Tasks;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};

use crate::io::Io;

/// Bytes held per direction: enough for bulk copies, small enough for hundreds of sessions.
const BUFFER_BYTES: usize = 32 * 1024;
/// How long an interactive session may go on after the stop signal before it is closed.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Copies both ways until both directions have ended, a source breaks, or the stop grace is over;
/// then closes both. Returns the bytes that went from `a` to `b` and back.
///
/// A side that takes no more input may still have something to say: when a command has ended, its
/// last output and exit code are on their way while the user still types. So only the direction into
/// it ends.
pub async fn run(a: impl Io, b: impl Io, tasks: &Tasks) -> (u64, u64) {
    let stopping = tasks.stopping();
    let (mut a_reader, mut a_writer) = split(a);
    let (mut b_reader, mut b_writer) = split(b);
    let (mut up, mut down) = (0, 0);
    tokio::select! {
        result = async {
            tokio::try_join!(copy(&mut a_reader, &mut b_writer, &mut up), copy(&mut b_reader, &mut a_writer, &mut down))
        } => if let Err(error) = result {
            tracing::debug!(error = chain(&error), "pipe broke");
        },
        () = async { stopping.cancelled().await; tokio::time::sleep(STOP_GRACE).await } => {}
    }
    // A peer that has left already cannot be notified.
    let _ = tokio::join!(a_writer.shutdown(), b_writer.shutdown());
    (up, down)
}

/// One direction, until its source ends or its target takes no more.
///
/// # Errors
/// When the source breaks.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    copied: &mut u64,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        let data = buffer.get(..count).unwrap_or_default();
        let passed_on = if count == 0 {
            to.shutdown().await
        } else {
            flush(to, data).await
        };
        if let Err(error) = &passed_on {
            tracing::debug!(error = chain(error), "a side of a pipe takes no more");
        }
        if count == 0 || passed_on.is_err() {
            return Ok(());
        }
        *copied += count as u64;
    }
}

async fn flush(to: &mut (impl AsyncWrite + Unpin), data: &[u8]) -> io::Result<()> {
    to.write_all(data).await?;
    to.flush().await
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

    /// Takes no input, and says one thing some time later.
    struct Deaf(tokio::io::DuplexStream);

    impl AsyncRead for Deaf {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
            buffer: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::pin::Pin::new(&mut self.0).poll_read(context, buffer)
        }
    }

    impl AsyncWrite for Deaf {
        fn poll_write(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &[u8],
        ) -> std::task::Poll<io::Result<usize>> {
            std::task::Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn poll_shutdown(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_a_side_says_after_it_stopped_listening_arrives() {
        let tasks = Tasks::root("test");
        let (mut user, a) = tokio::io::duplex(64);
        let (mut command, b) = tokio::io::duplex(64);
        let group = tasks.clone();
        tasks.spawn("pipe", async move {
            run(a, Deaf(b), &group).await;
        });
        user.write_all(b"typed too late").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        command.write_all(b"exit code 0").await.unwrap();
        drop(command);
        let mut got = Vec::new();
        tokio::time::timeout(Duration::from_secs(5), user.read_to_end(&mut got))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(got, b"exit code 0");
        drop(user);
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
