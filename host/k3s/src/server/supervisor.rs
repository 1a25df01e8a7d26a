//! The supervisor's part of port 6443: what K3s serves beside the Kubernetes API. Everything it does
//! not know falls through to the API.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use k3s_apiserver::ApiService;
use k3s_serve::Body;
use tower::Service;

/// Joining needs these; they come with agents.
const JOIN: &str = "joining agents and servers is not supported by this build yet\n";

/// Answers the supervisor's paths and passes the rest to the API.
#[derive(Clone)]
pub(crate) struct Supervisor {
    api: ApiService,
    server_ca_pem: Arc<str>,
}

impl Supervisor {
    pub(crate) fn new(api: ApiService, server_ca_pem: &str) -> Self {
        Self {
            api,
            server_ca_pem: server_ca_pem.into(),
        }
    }

    /// The response to a path of the supervisor's own.
    fn own(&self, request: &Request<Body>) -> Option<Response<Body>> {
        let (status, text) = match request.uri().path() {
            "/cacerts" => (
                StatusCode::OK,
                Bytes::copy_from_slice(self.server_ca_pem.as_bytes()),
            ),
            "/ping" => (StatusCode::OK, Bytes::from_static(b"pong")),
            path if path.starts_with("/v1-k3s/") || path.starts_with("/db/") => (
                StatusCode::NOT_IMPLEMENTED,
                Bytes::from_static(JOIN.as_bytes()),
            ),
            _ => return None,
        };
        let allowed = matches!(*request.method(), Method::GET | Method::HEAD)
            || status == StatusCode::NOT_IMPLEMENTED;
        let status = if allowed {
            status
        } else {
            StatusCode::METHOD_NOT_ALLOWED
        };
        let mut response = Response::new(k3s_serve::body::full(text));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, http::HeaderValue::from_static("text/plain"));
        Some(response)
    }
}

impl Service<Request<Body>> for Supervisor {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.api.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.own(&request) {
            Some(response) => Box::pin(std::future::ready(Ok(response))),
            None => self.api.call(request),
        }
    }
}
