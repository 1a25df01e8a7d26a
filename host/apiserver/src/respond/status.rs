//! The one place where a `Status` becomes a response. Each module maps its own failures to a `Status`
//! with the registry's error type; only this one renders it.

use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use k3s_meta::Status;
use k3s_serve::Body;

use super::{JSON, bytes};

/// The status as JSON with its code.
pub(crate) fn response(status: &Status) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if code.is_server_error() {
        tracing::warn!(code = status.code, message = %status.message, "request failed");
    }
    let mut json = status.to_value().to_string();
    json.push('\n');
    let mut response = bytes(code, JSON, json);
    if let Some(seconds) = status.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}
