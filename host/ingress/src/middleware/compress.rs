//! `compress`: answers are sent with gzip where the client takes it. Bodies stream: what the server has
//! sent so far is never held back.

use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use k3s_serve::{Body, BoxError};

use super::{Answer, Exchange, Layer, Next};
use crate::model;
use crate::proxy::headers::list;

/// Traefik's `minResponseBodyBytes`.
const MIN_BYTES: u64 = 1024;

/// Which answers are worth it.
pub(crate) struct Compress {
    min_bytes: u64,
    excluded: Vec<String>,
    included: Vec<String>,
}

impl Compress {
    pub(crate) fn new(settings: &model::Compress) -> Self {
        let lower = |types: &[String]| types.iter().map(|kind| kind.to_ascii_lowercase()).collect();
        Self {
            min_bytes: if settings.min_bytes == 0 {
                MIN_BYTES
            } else {
                u64::from(settings.min_bytes)
            },
            excluded: lower(&settings.excluded),
            included: lower(&settings.included),
        }
    }

    fn applies(&self, response: &Response<Body>) -> bool {
        let headers = response.headers();
        let status = response.status();
        let kind = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let kind = kind
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let wanted = if self.included.is_empty() {
            // gRPC has a compression of its own (as in Traefik).
            !self.excluded.contains(&kind) && !kind.starts_with("application/grpc")
        } else {
            self.included.contains(&kind)
        };
        let large = response
            .body()
            .size_hint()
            .exact()
            .is_none_or(|bytes| bytes >= self.min_bytes);
        let has_body = !status.is_informational()
            && status != StatusCode::NO_CONTENT
            && status != StatusCode::NOT_MODIFIED;
        wanted
            && large
            && has_body
            && status != StatusCode::PARTIAL_CONTENT
            && !headers.contains_key(CONTENT_ENCODING)
    }
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    list(headers, &ACCEPT_ENCODING).any(|token| {
        let (name, quality) = token.split_once(';').unwrap_or((token, ""));
        let refused = matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        matches!(name.trim(), "gzip" | "*") && !refused
    })
}

impl Layer for Compress {
    fn handle<'a>(&'a self, exchange: Exchange, next: Next<'a>) -> Answer<'a> {
        let wanted =
            takes_gzip(exchange.request.headers()) && *exchange.request.method() != Method::HEAD;
        Box::pin(async move {
            let mut response = next.run(exchange).await;
            if !self.applies(&response) {
                return response;
            }
            response
                .headers_mut()
                .append(VARY, HeaderValue::from_static("Accept-Encoding"));
            if !wanted {
                return response;
            }
            let headers = response.headers_mut();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            // These speak of the bytes as they were.
            for name in [CONTENT_LENGTH, ACCEPT_RANGES, ETAG] {
                headers.remove(name);
            }
            response.map(|body| {
                Zipped {
                    body,
                    encoder: Some(encoder()),
                    dirty: false,
                }
                .boxed()
            })
        })
    }
}

fn encoder() -> GzEncoder<Vec<u8>> {
    GzEncoder::new(Vec::new(), Compression::fast())
}

/// A body on its way through gzip.
struct Zipped {
    body: Body,
    encoder: Option<GzEncoder<Vec<u8>>>,
    /// The encoder holds bytes that nobody has seen.
    dirty: bool,
}

impl Zipped {
    fn take(&mut self) -> Bytes {
        self.encoder
            .as_mut()
            .map(|encoder| std::mem::take(encoder.get_mut()))
            .unwrap_or_default()
            .into()
    }
}

impl HttpBody for Zipped {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let Some(encoder) = self.encoder.as_mut() else {
                return Pin::new(&mut self.body).poll_frame(cx);
            };
            if !encoder.get_ref().is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(self.take()))));
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        let Some(encoder) = self.encoder.as_mut() else {
                            continue;
                        };
                        encoder.write_all(&data)?;
                        self.dirty = true;
                    }
                    // Trailers follow the last data; they are passed on after it.
                    Err(_trailers) => {}
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => {
                    let Some(encoder) = self.encoder.take() else {
                        return Poll::Ready(None);
                    };
                    return Poll::Ready(Some(Ok(Frame::data(encoder.finish()?.into()))));
                }
                Poll::Pending if self.dirty => {
                    self.dirty = false;
                    if let Some(encoder) = self.encoder.as_mut() {
                        encoder.flush()?;
                    }
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[tokio::test]
    async fn bodies_come_out_whole() {
        let text = "to be or not to be ".repeat(1000);
        let zipped = Zipped {
            body: k3s_serve::body::full(text.clone()),
            encoder: Some(encoder()),
            dirty: false,
        };
        let bytes = zipped.collect().await.unwrap().to_bytes();
        assert!(bytes.len() < text.len() / 10);
        let mut back = String::new();
        flate2::read::GzDecoder::new(&*bytes)
            .read_to_string(&mut back)
            .unwrap();
        assert_eq!(back, text);
    }

    #[test]
    fn clients_say_what_they_take() {
        for (header, takes) in [
            ("gzip", true),
            ("br, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("br", false),
            ("*", true),
        ] {
            let headers =
                HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(header))]);
            assert_eq!(takes_gzip(&headers), takes, "{header}");
        }
    }
}
