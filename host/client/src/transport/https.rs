//! HTTPS as a [`Config`] describes it: kube's layers for address, authentication and impersonation
//! over two connection pools.
//!
//! The pools are made here, since kube's own stack speaks HTTP/1.1 only, where every watch takes a
//! connection of its own. Here HTTP/2 carries everything but upgrades, which exist in HTTP/1.1
//! only. Windows and keep-alive are set as client-go sets them: the defaults of 64 KiB and no ping
//! make many watches on one connection stall, or hang for minutes when the peer has vanished.

use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::UPGRADE;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Config;
use kube::client::{Body, ConfigExt};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tower::util::BoxService;
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::body::BoxError;
use crate::error::{Error, Result};

const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A stack for one state of the credentials.
pub(crate) type Https = BoxService<Request<Body>, Response<Incoming>, BoxError>;

/// The stack that `config` describes. No connection is made yet.
///
/// # Errors
/// [`Error::Credentials`] where certificate, key, CA bundle or token cannot be used.
pub(crate) fn stack(config: &Config) -> Result<Https> {
    let pools = Pools::new(config)?;
    let authentication = config.auth_layer().map_err(Error::credentials)?;
    let impersonation = config.extra_headers_layer().map_err(Error::credentials)?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(authentication)
        .layer(impersonation)
        .service(pools);
    Ok(service.boxed())
}

type HttpPool = Pool<HttpsConnector<HttpConnector>, Body>;

/// Chooses the pool by what the request asks for.
#[derive(Clone)]
struct Pools {
    http2: HttpPool,
    upgrades: HttpPool,
}

impl Pools {
    fn new(config: &Config) -> Result<Self> {
        let tls = config.rustls_client_config().map_err(Error::credentials)?;
        let server_name = config.tls_server_name.as_deref();
        Ok(Self {
            http2: pool(connector(tls.clone(), server_name, true)?),
            upgrades: pool(connector(tls, server_name, false)?),
        })
    }
}

impl Service<Request<Body>> for Pools {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Incoming>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let pool = if request.headers().contains_key(UPGRADE) {
            &self.upgrades
        } else {
            &self.http2
        };
        let response = pool.request(request);
        response.map(|result| result.map_err(Into::into)).boxed()
    }
}

/// hyper-util's executor spawns the connection's own task; it ends with the pool or the peer, so
/// it needs no stop signal of its own.
fn pool(connector: HttpsConnector<HttpConnector>) -> HttpPool {
    Pool::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .http2_keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        .build(connector)
}

fn connector(
    tls: ClientConfig,
    server_name: Option<&str>,
    http2: bool,
) -> Result<HttpsConnector<HttpConnector>> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_keepalive(Some(KEEP_ALIVE_INTERVAL));
    let mut builder = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_only();
    if let Some(name) = server_name {
        let name = ServerName::try_from(name.to_owned()).map_err(Error::credentials)?;
        builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    let builder = builder.enable_http1();
    Ok(if http2 {
        builder.enable_http2().wrap_connector(tcp)
    } else {
        builder.wrap_connector(tcp)
    })
}
