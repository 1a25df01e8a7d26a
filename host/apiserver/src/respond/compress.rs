//! gzip for long lists, where the client takes it (upstream: above 128 KiB, level 1).

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue, VARY};
use http::{HeaderMap, Response, StatusCode};
use k3s_serve::{Body, BoxError, body, upgrade};

use super::list::Writer;
use super::with_body;

/// Items from which a list counts as long: around the 128 KiB from which upstream compresses.
const LONG: usize = 100;

/// Whether to compress a list of `count` items.
pub(crate) fn wanted(headers: &HeaderMap, count: usize) -> bool {
    count >= LONG && upgrade::lists(headers, ACCEPT_ENCODING, "gzip")
}

/// The list, compressed while it is made.
pub(crate) fn response(
    code: StatusCode,
    content_type: HeaderValue,
    writer: Writer,
) -> Response<Body> {
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let chunks = Compressed {
        writer,
        encoder: Some(encoder),
    };
    let mut response = with_body(code, content_type, body::stream(stream::iter(chunks)));
    response
        .headers_mut()
        .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

struct Compressed {
    writer: Writer,
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Compressed {
    fn chunk(&mut self) -> Result<Option<Bytes>, BoxError> {
        loop {
            let Some(encoder) = &mut self.encoder else {
                return Ok(None);
            };
            match self.writer.next_chunk()? {
                Some(chunk) => {
                    encoder.write_all(&chunk)?;
                    let made = std::mem::take(encoder.get_mut());
                    if !made.is_empty() {
                        return Ok(Some(made.into()));
                    }
                }
                None => {
                    return Ok(self
                        .encoder
                        .take()
                        .map(GzEncoder::finish)
                        .transpose()?
                        .map(Bytes::from));
                }
            }
        }
    }
}

impl Iterator for Compressed {
    type Item = Result<Bytes, BoxError>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk = self.chunk();
        if chunk.is_err() {
            self.encoder = None;
        }
        chunk.transpose()
    }
}
