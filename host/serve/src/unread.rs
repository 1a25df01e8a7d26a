//! What a handler leaves of a request's body.
//!
//! An answer may be ready before the body was read: a refusal, a method that takes none. The rest then stands in
//! the way of the next request of an HTTP/1.1 connection, so the connection is closed, and a close with unread bytes
//! makes the kernel reset it, which can destroy the answer before a client that is still writing has read it. So
//! some of the rest is read first, and where there is more, the answer says that the connection ends (as Go's
//! server does, `net/http/server.go`, `maxPostHandlerReadBytes`). HTTP/2 ends single streams and needs none of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use parking_lot::Mutex;

use crate::body::Body;

/// Bytes that are read and dropped for an answer's sake.
const LIMIT_BYTES: usize = 256 * 1024;
/// A body that does not come within this is left.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where the body of one request is found again when its handler has dropped it.
#[derive(Debug)]
pub(crate) struct Rest<B>(Arc<Mutex<Option<B>>>);

impl<B> Rest<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// The body for the handler.
    pub(crate) fn lend(&self, body: B) -> Lent<B> {
        Lent {
            body: Some(body),
            rest: Self(self.0.clone()),
        }
    }

    /// Reads what is left before the answer goes out, or announces the end of the connection.
    pub(crate) async fn settle(&self, answer: &mut Response<Body>) {
        let Some(mut rest) = self.0.lock().take() else {
            return;
        };
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let reading = tokio::time::timeout(PATIENCE, ends(&mut rest)).await;
        if reading != Ok(true) {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(CONNECTION, close);
        }
    }
}

/// Reads to the end; false when that is too far, or the peer broke off.
async fn ends<B: HttpBody<Data = Bytes> + Unpin>(body: &mut B) -> bool {
    let mut left = LIMIT_BYTES;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return false;
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(bytes) {
            Some(less) => left = less,
            None => return false,
        }
    }
    true
}

/// A body that goes back to its [`Rest`] when it is dropped before its end.
#[derive(Debug)]
pub(crate) struct Lent<B> {
    /// `None` once it has ended.
    body: Option<B>,
    rest: Rest<B>,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Lent<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let ended = || SizeHint::with_exact(0);
        self.body.as_ref().map_or_else(ended, HttpBody::size_hint)
    }
}

impl<B> Drop for Lent<B> {
    fn drop(&mut self) {
        *self.rest.0.lock() = self.body.take();
    }
}
