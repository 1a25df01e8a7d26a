//! The one body type, and how to make and read it.

use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream::try_unfold;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::error::{BoxError, ServeError};

/// A request or response body: bytes known beforehand, or a stream of them.
pub type Body = BoxBody<Bytes, BoxError>;

/// A body without bytes.
#[must_use]
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

/// A body of known bytes; carries its length.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

/// A body that another component's body type can be turned into.
pub fn boxed<B>(body: B) -> Body
where
    B: HttpBody<Data = Bytes> + Send + Sync + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed()
}

/// A body whose chunks are made when the peer takes them: the stream is polled only then, so a slow
/// reader holds back the source.
pub fn stream<S>(stream: S) -> Body
where
    S: Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
{
    StreamBody(Mutex::new(Box::pin(stream))).boxed()
}

/// A body whose data passes through `map` on its way. `None` marks the end of the data: what `map` held back
/// comes last.
pub fn mapped<M>(body: Body, map: M) -> Body
where
    M: FnMut(Option<Bytes>) -> Bytes + Send + 'static,
{
    stream(try_unfold(Some(Mapped { body, map }), next_mapped))
}

struct Mapped<M> {
    body: Body,
    map: M,
}

/// The next data, and the state after it; none once the end was mapped.
async fn next_mapped<M>(
    state: Option<Mapped<M>>,
) -> Result<Option<(Bytes, Option<Mapped<M>>)>, BoxError>
where
    M: FnMut(Option<Bytes>) -> Bytes,
{
    let Some(Mapped { mut body, mut map }) = state else {
        return Ok(None);
    };
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        let out = map(Some(data));
        if !out.is_empty() {
            return Ok(Some((out, Some(Mapped { body, map }))));
        }
    }
    Ok(Some((map(None), None)))
}

/// The sending half of [`channel`].
#[derive(Clone, Debug)]
pub struct BodySender(mpsc::Sender<Result<Bytes, BoxError>>);

/// A body fed by another task, with room for `capacity` chunks; a full channel makes the sender
/// wait.
#[must_use]
pub fn channel(capacity: usize) -> (BodySender, Body) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (BodySender(sender), ChannelBody(receiver).boxed())
}

impl BodySender {
    /// Hands on one chunk; false once the reader is gone.
    pub async fn send(&self, chunk: impl Into<Bytes>) -> bool {
        self.0.send(Ok(chunk.into())).await.is_ok()
    }

    /// Ends the body with an error, so that the reader can tell it from a complete one.
    pub async fn fail(&self, error: impl Into<BoxError>) {
        let _reader_gone = self.0.send(Err(error.into())).await;
    }

    /// Resolves once the reader is gone.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

/// Reads a whole body of at most `limit` bytes.
///
/// # Errors
/// [`ServeError::TooLarge`] above the limit (the rest is not read), [`ServeError::Body`] where the
/// body itself fails.
pub async fn read<B>(body: B, limit: usize) -> Result<Bytes, ServeError>
where
    B: HttpBody<Data = Bytes> + Send,
    B::Error: Into<BoxError>,
{
    gather(body, limit, None, |_| true).await
}

/// How fast a body has to come, so that a slow peer cannot hold on to what its request needs.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Time that a body has in any case.
    pub grace: Duration,
    /// Bytes that have to come each second beyond that.
    pub bytes_per_second: u32,
}

impl Pace {
    /// By when the body has to have more than `bytes`.
    fn deadline(&self, start: Instant, bytes: usize) -> Instant {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let earned = f64::from(bytes) / f64::from(self.bytes_per_second.max(1));
        start + self.grace + Duration::from_secs_f64(earned)
    }
}

/// As [`read`], for bodies of peers that may be slow or too many: the body has to keep `pace`, and `room`
/// is asked before the given number of bytes is kept.
///
/// # Errors
/// As [`read`]; [`ServeError::Timeout`] for a body that is too slow, [`ServeError::NoRoom`] where
/// `room` says no.
pub async fn read_at_pace<B>(
    body: B,
    limit: usize,
    pace: Pace,
    room: impl FnMut(usize) -> bool + Send,
) -> Result<Bytes, ServeError>
where
    B: HttpBody<Data = Bytes> + Send,
    B::Error: Into<BoxError>,
{
    gather(body, limit, Some(pace), room).await
}

async fn gather<B>(
    body: B,
    limit: usize,
    pace: Option<Pace>,
    mut room: impl FnMut(usize) -> bool + Send,
) -> Result<Bytes, ServeError>
where
    B: HttpBody<Data = Bytes> + Send,
    B::Error: Into<BoxError>,
{
    let start = Instant::now();
    let mut body = std::pin::pin!(body);
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(ServeError::TooLarge { limit });
    }
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut have = 0_usize;
    loop {
        let next = match pace {
            None => body.frame().await,
            Some(pace) => tokio::time::timeout_at(pace.deadline(start, have), body.frame())
                .await
                .map_err(|_| ServeError::Timeout("while the body was read"))?,
        };
        let Some(frame) = next else { break };
        let Ok(data) = frame.map_err(|e| ServeError::Body(e.into()))?.into_data() else {
            continue;
        };
        have = have.saturating_add(data.len());
        if have > limit {
            return Err(ServeError::TooLarge { limit });
        }
        if !room(data.len()) {
            return Err(ServeError::NoRoom);
        }
        if first.is_none() {
            // Most bodies are one frame: no copy for them.
            first = Some(data);
        } else {
            rest.extend_from_slice(&data);
        }
    }
    Ok(match (first, rest.is_empty()) {
        (None, _) => Bytes::new(),
        (Some(only), true) => only,
        (Some(head), false) => {
            let mut all = BytesMut::with_capacity(head.len().saturating_add(rest.len()));
            all.extend_from_slice(&head);
            all.extend_from_slice(&rest);
            all.freeze()
        }
    })
}

/// The mutex is never locked: it only makes the stream `Sync`, which boxed bodies ask for.
struct StreamBody(Mutex<Pin<Box<ChunkStream>>>);

type ChunkStream = dyn Stream<Item = Result<Bytes, BoxError>> + Send;

impl HttpBody for StreamBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let stream = match self.0.get_mut() {
            Ok(stream) => stream,
            Err(poisoned) => poisoned.into_inner(),
        };
        stream
            .as_mut()
            .poll_next(cx)
            .map(|item| item.map(|chunk| chunk.map(Frame::data)))
    }
}

struct ChannelBody(mpsc::Receiver<Result<Bytes, BoxError>>);

impl HttpBody for ChannelBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0
            .poll_recv(cx)
            .map(|item| item.map(|chunk| chunk.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_above_the_limit_is_refused() {
        assert!(matches!(
            read(full("12345"), 4).await,
            Err(ServeError::TooLarge { limit: 4 })
        ));
        assert_eq!(read(full("1234"), 4).await.unwrap(), "1234");
    }

    #[test]
    fn bytes_earn_a_body_time() {
        let pace = Pace {
            grace: Duration::from_secs(5),
            bytes_per_second: 10,
        };
        let start = Instant::now();
        let seconds = |bytes| (pace.deadline(start, bytes) - start).as_secs();
        assert_eq!((seconds(0), seconds(100), seconds(1_000)), (5, 15, 105));
    }

    #[tokio::test]
    async fn a_body_has_to_keep_its_pace() {
        let pace = Pace {
            grace: Duration::from_millis(20),
            bytes_per_second: 1_000,
        };
        let (sender, body) = channel(4);
        assert!(sender.send("x").await);
        let read = read_at_pace(body, 1_000, pace, |_| true).await;
        assert!(matches!(read, Err(ServeError::Timeout(_))));
        let whole = read_at_pace(full("12345"), 10, pace, |_| true).await;
        assert_eq!(whole.unwrap(), "12345");
    }

    #[tokio::test]
    async fn a_body_for_which_there_is_no_room_is_refused() {
        let pace = Pace {
            grace: Duration::from_secs(5),
            bytes_per_second: 10,
        };
        let read = read_at_pace(full("12345"), 10, pace, |bytes| bytes < 5).await;
        assert!(matches!(read, Err(ServeError::NoRoom)));
    }

    #[tokio::test]
    async fn chunks_are_joined_in_order() {
        let (sender, body) = channel(4);
        for part in ["a", "bc", "d"] {
            assert!(sender.send(part).await);
        }
        drop(sender);
        assert_eq!(read(body, 10).await.unwrap(), "abcd");
    }

    #[tokio::test]
    async fn what_a_map_holds_back_comes_last() {
        let (sender, body) = channel(4);
        for part in ["a", "", "b"] {
            assert!(sender.send(part).await);
        }
        drop(sender);
        let mut held = Vec::new();
        let reversed = mapped(body, move |chunk| match chunk {
            Some(chunk) => {
                held.splice(0..0, chunk);
                Bytes::new()
            }
            None => std::mem::take(&mut held).into(),
        });
        assert_eq!(read(reversed, 10).await.unwrap(), "ba");
    }

    #[tokio::test]
    async fn a_failed_body_is_an_error_not_a_short_success() {
        let (sender, body) = channel(4);
        sender.send("a").await;
        sender.fail("broken").await;
        drop(sender);
        assert!(matches!(read(body, 10).await, Err(ServeError::Body(_))));
    }
}
