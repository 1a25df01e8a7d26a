//! How long a connection may be without a request: until its first one, and between two.
//!
//! Deadlines of one protocol or phase leave gaps (a version that is sniffed before the header timeout starts,
//! HTTP/2 peers that answer pings and ask nothing), so the clock runs from `accept` and stops only while a
//! request is under way.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::body::Body;
use crate::error::{BoxError, ServeError};

/// Limits on doing nothing.
#[derive(Clone, Copy, Debug)]
pub struct QuietLimits {
    /// From accepting a connection to the end of its first request's head.
    pub first: Duration,
    /// Between the end of one request and the end of the next one's head.
    pub idle: Duration,
}

/// The requests of one connection. Cheap to clone; clones are the same.
#[derive(Clone, Debug)]
pub struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    running: usize,
    /// There has been a request.
    any: bool,
    /// When `running` became zero.
    since: Instant,
}

/// A request under way. It ends when this is dropped.
#[derive(Debug)]
pub struct Busy(Activity);

impl Activity {
    /// Of a connection that was just accepted.
    #[must_use]
    pub fn accepted() -> Self {
        Self(Arc::new(Mutex::new(State {
            running: 0,
            any: false,
            since: Instant::now(),
        })))
    }

    /// A request's head is here.
    #[must_use]
    pub fn begin(&self) -> Busy {
        let mut state = self.0.lock();
        state.running += 1;
        state.any = true;
        drop(state);
        Busy(self.clone())
    }

    /// Resolves once no request has been under way for too long.
    pub async fn quiet(&self, limits: QuietLimits) {
        loop {
            let now = Instant::now();
            let due = self.due(limits, now);
            if due <= now {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }

    /// Runs a connection to its end. When it is quiet for too long, and when `stopping` is cancelled, `shut_down`
    /// tells it to finish what it has begun, for which it has the second limit.
    ///
    /// # Errors
    /// When it did not finish, and was cut off.
    pub async fn drive<C: Future>(
        &self,
        connection: C,
        shut_down: impl FnOnce(Pin<&mut C>),
        (limits, drain): (QuietLimits, Duration),
        stopping: &CancellationToken,
    ) -> Result<C::Output, ServeError> {
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended),
            () = self.quiet(limits) => {
                shut_down(connection.as_mut());
                // A request that comes at this moment is still answered.
                let limits = QuietLimits { first: limits.first + drain, idle: drain };
                tokio::select! {
                    ended = connection.as_mut() => return Ok(ended),
                    () = self.quiet(limits) => return Err(ServeError::Timeout("without a request")),
                    () = stopping.cancelled() => {}
                }
            }
            () = stopping.cancelled() => shut_down(connection.as_mut()),
        }
        let drained = tokio::time::timeout(drain, connection).await;
        drained.map_err(|_elapsed| ServeError::Timeout("while draining"))
    }

    /// When the connection will have been quiet too long, if nothing happens.
    fn due(&self, limits: QuietLimits, now: Instant) -> Instant {
        let state = self.0.lock();
        match (state.running, state.any) {
            (0, false) => state.since + limits.first,
            (0, true) => state.since + limits.idle,
            _ => now + limits.idle,
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.running -= 1;
        state.since = Instant::now();
    }
}

/// A body that keeps something alive until it is read or given up.
#[derive(Debug)]
pub struct Guarded<G> {
    body: Body,
    _guard: G,
}

impl<G> Guarded<G> {
    /// A body and what must outlive it.
    pub fn new(body: Body, guard: G) -> Self {
        Self {
            body,
            _guard: guard,
        }
    }
}

impl<G: Unpin> HttpBody for Guarded<G> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn time_counts_while_no_request_is_under_way() {
        let limits = QuietLimits {
            first: Duration::from_millis(1),
            idle: Duration::from_millis(1),
        };
        // Ends: nothing came.
        Activity::accepted().quiet(limits).await;

        let activity = Activity::accepted();
        let (one, two) = (activity.begin(), activity.begin());
        drop(one);
        let wait = Duration::from_millis(50);
        let ended = tokio::time::timeout(wait, activity.quiet(limits)).await;
        assert!(ended.is_err(), "a request is under way");
        drop(two);
        activity.quiet(limits).await;
    }
}
