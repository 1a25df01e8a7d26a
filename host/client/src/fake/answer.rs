//! Responses of the fake.

use http::Response;
use http::header::CONTENT_TYPE;
use k3s_meta::Status;
use serde_json::Value;

use crate::body::{Body, full};

pub(super) fn json(code: u16, value: &Value) -> Response<Body> {
    let mut response = Response::new(full(value.to_string()));
    *response.status_mut() =
        http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(
        CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}

pub(super) fn status(status: &Status) -> Response<Body> {
    json(status.code, &status.to_value())
}
