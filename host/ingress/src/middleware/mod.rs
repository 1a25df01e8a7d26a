//! What happens to a request between its route and its target. A [`Layer`] sees the request, may answer
//! it, and may inspect the answer of what comes after it.

mod basic;
mod breaker;
mod buffering;
mod compress;
mod errors;
mod forward_auth;
mod headers;
mod htpasswd;
mod limit;
pub(crate) mod make;
mod path;
mod redirect;
mod retry;
mod source;
mod window;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use k3s_serve::Body;

use crate::proxy::Proxy;
use crate::upstream::balance::Balancer;

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) request: Request<Body>,
    /// Facts of its connection.
    pub(crate) origin: Origin,
}

/// Where a request came from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) client: SocketAddr,
    pub(crate) tls: bool,
    /// Lower case, without port.
    pub(crate) host: Arc<str>,
    /// As the client wrote it.
    pub(crate) host_header: Arc<str>,
}

/// An answer that is being made.
pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = Response<Body>> + Send + 'a>>;

/// One step.
pub(crate) trait Layer: Send + Sync {
    /// Handles a request, by itself or with the steps after it.
    fn handle<'a>(&'a self, exchange: Exchange, next: Next<'a>) -> Answer<'a>;
}

/// The steps after a layer, and the target at their end.
#[derive(Clone, Copy)]
pub(crate) struct Next<'a> {
    pub(crate) layers: &'a [Arc<dyn Layer>],
    pub(crate) target: &'a Balancer,
    pub(crate) proxy: &'a Proxy,
}

impl<'a> Next<'a> {
    /// Goes on.
    pub(crate) fn run(self, exchange: Exchange) -> Answer<'a> {
        match self.layers.split_first() {
            Some((layer, layers)) => layer.handle(exchange, Next { layers, ..self }),
            None => Box::pin(self.proxy.forward(self.target, exchange)),
        }
    }
}

/// An answer of our own, as plain text.
pub(crate) fn answer(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(k3s_serve::body::full(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(
        "x-content-type-options",
        http::HeaderValue::from_static("nosniff"),
    );
    response
}
