//! Answers: statuses, objects, lists and watches in the form the client takes.

pub(crate) mod compress;
pub(crate) mod list;
pub(crate) mod object;
pub(crate) mod partial;
pub(crate) mod route;
pub(crate) mod status;
pub(crate) mod table;
pub(crate) mod watch;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use k3s_base::error::chain;
use k3s_meta::Status;
use k3s_registry::{Error, Result};
use k3s_serve::{Body, body};
use serde_json::Value;

use crate::context::Context;
use crate::request::{Form, yaml};

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const YAML: HeaderValue = HeaderValue::from_static("application/yaml");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache, private");
const NO_SNIFF: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-content-type-options"),
    HeaderValue::from_static("nosniff"),
);

/// A response of known bytes.
pub(crate) fn bytes(
    code: StatusCode,
    content_type: HeaderValue,
    bytes: impl Into<Bytes>,
) -> Response<Body> {
    with_body(code, content_type, body::full(bytes))
}

pub(crate) fn with_body(code: StatusCode, content_type: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, NO_CACHE);
    response
}

/// A plain text.
pub(crate) fn text(code: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = bytes(code, TEXT, text);
    let (name, value) = NO_SNIFF;
    response.headers_mut().insert(name, value);
    response
}

/// What Go's multiplexer says to a path it does not know.
pub(crate) fn page_not_found() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// A tree, in the form the client takes.
pub(crate) fn tree(context: &Context, code: StatusCode, value: &Value) -> Result<Response<Body>> {
    match context.accept.form {
        Form::Yaml => {
            let written = yaml::write(value).map_err(|error| unwritable(&error))?;
            Ok(bytes(code, YAML, written))
        }
        Form::Json => {
            let written = if context.pretty() {
                serde_json::to_vec_pretty(value)
            } else {
                serde_json::to_vec(value)
            };
            let mut written = written.map_err(|error| unwritable(&error))?;
            written.push(b'\n');
            Ok(bytes(code, JSON, written))
        }
    }
}

/// An answer that cannot be encoded, which is a fault of this server.
pub(crate) fn unwritable(error: &(dyn std::error::Error + 'static)) -> Error {
    Status::internal(&chain(error)).into()
}

/// Adds the request's warnings as headers (RFC 7234 warn-code 299).
pub(crate) fn warn(response: &mut Response<Body>, warnings: Vec<String>) {
    for text in warnings {
        let clean: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let quoted = clean.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
}
