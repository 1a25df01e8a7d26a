//! The body type of a server that clients in its process call directly.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};

/// Any error, as tower services hand it over.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body of any origin: a buffer, a stream of frames, or nothing.
pub type Body = BoxBody<Bytes, BoxError>;

/// A body of one buffer.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}
