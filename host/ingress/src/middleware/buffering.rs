//! `buffering`: bodies are read whole before they are passed on, up to a limit.

use http::{Request, StatusCode};
use k3s_serve::{ServeError, body};

use super::{Answer, Exchange, Layer, Next, answer};
use crate::model;

/// Without a limit of the author's, bodies may have this many bytes: they are held in memory.
const MAX_BYTES: usize = 64 << 20;

/// Limits in bytes.
pub(crate) struct Buffering {
    request: usize,
    response: usize,
}

impl Buffering {
    pub(crate) fn new(settings: &model::Buffering) -> Self {
        let limit = |bytes: u64| match bytes {
            0 => MAX_BYTES,
            bytes => usize::try_from(bytes).unwrap_or(MAX_BYTES).min(MAX_BYTES),
        };
        Self {
            request: limit(settings.max_request_bytes),
            response: limit(settings.max_response_bytes),
        }
    }
}

impl Layer for Buffering {
    fn handle<'a>(&'a self, exchange: Exchange, next: Next<'a>) -> Answer<'a> {
        Box::pin(async move {
            let Exchange { request, origin } = exchange;
            let (parts, incoming) = request.into_parts();
            let bytes = match body::read(incoming, self.request).await {
                Ok(bytes) => bytes,
                Err(ServeError::TooLarge { .. }) => {
                    return answer(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
                }
                Err(_) => return answer(StatusCode::BAD_REQUEST, "Bad Request"),
            };
            let request = Request::from_parts(parts, body::full(bytes));
            let response = next.run(Exchange { request, origin }).await;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                return response;
            }
            let (parts, outgoing) = response.into_parts();
            match body::read(outgoing, self.response).await {
                Ok(bytes) => http::Response::from_parts(parts, body::full(bytes)),
                Err(ServeError::TooLarge { .. }) => {
                    answer(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
                }
                Err(_) => answer(StatusCode::BAD_GATEWAY, "Bad Gateway"),
            }
        })
    }
}
