//! Connections to servers, pooled per scheme and transport settings.

use std::error::Error as _;
use std::future::Future;
use std::time::Duration;

use http::uri::{PathAndQuery, Uri};
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Builder, Client as Pooled, Error as PooledError};
use hyper_util::rt::TokioTimer;
use k3s_lifecycle::Tasks;
use k3s_serve::BoxError;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;

use super::body::Outgoing;
use super::dial::{DialError, Dialer};
use super::h2c::H2cPool;
use super::pool::Endpoint;
use crate::model::Transport;

/// Traefik's defaults (`serversTransport`): 30 s to connect, 90 s idle, 200 idle connections per server.
pub(crate) const DIAL_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
const MAX_IDLE_PER_HOST: usize = 200;

/// A pool of connections.
#[derive(Debug)]
pub(crate) struct Client {
    wire: Wire,
    dialer: Dialer,
    response_header_timeout: Option<Duration>,
}

#[derive(Debug)]
enum Wire {
    Http(Pooled<Dialer, Outgoing>),
    Https(Pooled<HttpsConnector<Dialer>, Outgoing>),
    H2c(H2cPool),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// No byte of the request left this machine.
    #[error("the request was not sent")]
    NotSent(#[source] BoxError),
    /// It may have seen the request.
    #[error("the server closed the connection before it answered")]
    Closed(#[source] BoxError),
    /// No response head came in time.
    #[error("the server did not answer within {0:?}")]
    Timeout(Duration),
    /// Anything else, for instance an answer that is not HTTP.
    #[error("the exchange with the server failed")]
    Failed(#[source] BoxError),
}

impl Client {
    /// Plain HTTP/1.1.
    pub(crate) fn http(transport: Option<&Transport>, dialer: &Dialer, tasks: &Tasks) -> Self {
        let dialer = of_transport(dialer, transport);
        let wire = Wire::Http(builder(transport, tasks).build(dialer.clone()));
        Self::new(transport, dialer, wire)
    }

    /// HTTP/2 without TLS.
    pub(crate) fn h2c(transport: Option<&Transport>, dialer: &Dialer, tasks: &Tasks) -> Self {
        let dialer = of_transport(dialer, transport);
        let wire = Wire::H2c(H2cPool::new(dialer.clone(), tasks.clone()));
        Self::new(transport, dialer, wire)
    }

    /// TLS; HTTP/2 where the server offers it.
    pub(crate) fn https(
        transport: Option<&Transport>,
        tls: ClientConfig,
        dialer: &Dialer,
        tasks: &Tasks,
    ) -> Self {
        let dialer = of_transport(dialer, transport);
        let secure = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only();
        let name = transport
            .map(|t| t.server_name.clone())
            .filter(|name| !name.is_empty());
        let secure = match name.and_then(|name| ServerName::try_from(name).ok()) {
            Some(name) => secure.with_server_name_resolver(FixedServerNameResolver::new(name)),
            None => secure,
        };
        let secure = secure
            .enable_http1()
            .enable_http2()
            .wrap_connector(dialer.clone());
        let wire = Wire::Https(builder(transport, tasks).build(secure));
        Self::new(transport, dialer, wire)
    }

    fn new(transport: Option<&Transport>, dialer: Dialer, wire: Wire) -> Self {
        Self {
            wire,
            dialer,
            response_header_timeout: transport.and_then(|t| millis(t.response_header_timeout_ms)),
        }
    }

    /// Sends a request in origin form to an endpoint. `host` is what the server sees as its name.
    pub(crate) async fn send(
        &self,
        endpoint: &Endpoint,
        host: &str,
        mut request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, SendError> {
        let (scheme, authority, version) = match &self.wire {
            Wire::Http(_) => ("http", endpoint.authority.as_str(), Version::HTTP_11),
            Wire::Https(_) => ("https", endpoint.authority.as_str(), Version::HTTP_11),
            // The pool connects by itself; the URI becomes the `:authority` that the server sees.
            Wire::H2c(_) => ("http", host, Version::HTTP_2),
        };
        let path = request
            .uri()
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(authority)
            .path_and_query(path)
            .build();
        *request.uri_mut() = uri.map_err(|error| SendError::Failed(error.into()))?;
        *request.version_mut() = version;
        let sent = async {
            match &self.wire {
                Wire::Http(client) => {
                    let response = client.request(request);
                    response.await.map_err(SendError::of_pooled)
                }
                Wire::Https(client) => {
                    let response = client.request(request);
                    response.await.map_err(SendError::of_pooled)
                }
                Wire::H2c(pool) => {
                    request.headers_mut().remove(http::header::HOST);
                    pool.send(&endpoint.authority, request).await
                }
            }
        };
        match self.response_header_timeout {
            Some(limit) => tokio::time::timeout(limit, sent)
                .await
                .map_err(|_| SendError::Timeout(limit))?,
            None => sent.await,
        }
    }

    /// A connection to an endpoint, for whatever is spoken on it.
    pub(crate) async fn connect(&self, endpoint: &Endpoint) -> Result<TcpStream, DialError> {
        self.dialer.dial(&endpoint.authority, 80).await
    }

    /// Whether connections can leave HTTP (WebSocket).
    pub(crate) fn upgrades(&self) -> bool {
        !matches!(self.wire, Wire::H2c(_))
    }
}

fn builder(transport: Option<&Transport>, tasks: &Tasks) -> Builder {
    let max_idle = transport
        .and_then(|t| usize::try_from(t.max_idle_per_host).ok())
        .filter(|max| *max > 0);
    let mut builder = Pooled::<(), ()>::builder(Tracked(tasks.clone()));
    builder
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(max_idle.unwrap_or(MAX_IDLE_PER_HOST))
        .set_host(false);
    builder
}

fn of_transport(dialer: &Dialer, transport: Option<&Transport>) -> Dialer {
    let timeout = transport.and_then(|t| millis(t.dial_timeout_ms));
    dialer.with_timeout(timeout.unwrap_or(DIAL_TIMEOUT))
}

fn millis(number: u32) -> Option<Duration> {
    (number > 0).then(|| Duration::from_millis(u64::from(number)))
}

impl SendError {
    pub(crate) fn not_sent(error: impl Into<BoxError>) -> Self {
        Self::NotSent(error.into())
    }

    pub(crate) fn of_hyper(error: hyper::Error) -> Self {
        if is_closed(&error) {
            Self::Closed(error.into())
        } else {
            Self::Failed(error.into())
        }
    }

    fn of_pooled(error: PooledError) -> Self {
        if error.is_connect() {
            return Self::not_sent(error);
        }
        let cause = error.source().and_then(|cause| cause.downcast_ref());
        if cause.is_some_and(is_closed) {
            Self::Closed(error.into())
        } else {
            Self::Failed(error.into())
        }
    }
}

/// Whether the connection ended before the response was complete.
fn is_closed(error: &hyper::Error) -> bool {
    error.is_canceled() || error.is_closed() || error.is_incomplete_message()
}

/// Runs the tasks of connections as tracked ones, which end at once when their group stops.
#[derive(Clone, Debug)]
pub(crate) struct Tracked(pub(crate) Tasks);

impl<F> Executor<F> for Tracked
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn_until_stopped("ingress connection", future);
    }
}
