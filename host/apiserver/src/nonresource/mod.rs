//! Paths that address no object: discovery, OpenAPI, probes, version, metrics, the token issuer.

mod discovery;
mod openapi;
mod openid;
mod probes;
mod version;

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use k3s_meta::Status;
use k3s_registry::Result;
use k3s_serve::Body;

use crate::context::Context;
use crate::request::{Accept, Form, Shape};
use crate::respond;

/// What is answered to clients that take none of the usual forms: these handlers read the header
/// themselves.
pub(crate) const DEFAULT_FORM: Accept = Accept {
    form: Form::Json,
    shape: Shape::Whole,
};

/// Paths shown at `/`.
const INDEX: [&str; 14] = [
    "/.well-known/openid-configuration",
    "/api",
    "/api/v1",
    "/apis",
    "/apis/",
    "/healthz",
    "/livez",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/",
    "/openid/v1/jwks",
    "/readyz",
    "/version",
];

/// Sends a request for a path to its handler.
pub(crate) async fn dispatch(
    context: Arc<Context>,
    request: Request<Body>,
) -> Result<Response<Body>> {
    let parts: Vec<&str> = context.info.path.trim_matches('/').split('/').collect();
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    // Upstream's router knows the methods of these; what its multiplexer serves takes any.
    match parts.as_slice() {
        ["version"] | [".well-known", "openid-configuration"] | ["openid", "v1", "jwks"]
            if !is_read =>
        {
            return Err(Status::no_method().into());
        }
        ["apis", group] if respond::route::is_routed(group) => {}
        ["api" | "apis", ..] if !is_read => return discovery::wrong_method(&parts),
        _ => {}
    }
    match parts.as_slice() {
        [""] => respond::tree(
            &context,
            StatusCode::OK,
            &serde_json::json!({"paths": INDEX}),
        ),
        ["version"] => version::get(&context),
        ["healthz" | "livez" | "readyz", ..] => Ok(probes::get(&context, &parts).await),
        ["metrics"] => Ok(metrics(&context)),
        ["api" | "apis", ..] => discovery::get(&context, &parts),
        ["openapi", rest @ ..] => openapi::get(&context, rest).await,
        [".well-known", "openid-configuration"] => openid::configuration(&context),
        ["openid", "v1", "jwks"] => openid::keys(&context),
        _ => Ok(respond::page_not_found()),
    }
}

fn metrics(context: &Context) -> Response<Body> {
    let kind = http::HeaderValue::from_static(
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    );
    respond::bytes(StatusCode::OK, kind, context.core.metrics.render())
}
