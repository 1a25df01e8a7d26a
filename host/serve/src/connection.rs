//! One accepted connection: handshake, protocol, drain.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use k3s_base::error::chain;
use k3s_lifecycle::Tasks;
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::{Service, ServiceExt};

use crate::activity::{Activity, Busy, Guarded};
use crate::body::{self, Body};
use crate::error::{BoxError, ServeError};
use crate::extensions::{ConnectionSlot, PeerCertificates, RemoteAddr};
use crate::io::Io;
use crate::options::{
    CONNECTION_WINDOW_BYTES, HEADER_TIMEOUT, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT,
    SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES, ServeOptions,
};

/// The first byte of every TLS record that opens a handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// What Go's server answers to a client that forgot the `s` in `https`.
const PLAIN_ON_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) remote: SocketAddr,
    pub(crate) options: Arc<ServeOptions>,
    pub(crate) tasks: Tasks,
}

/// What every request of the connection carries as extensions.
#[derive(Clone)]
struct PeerInfo {
    remote: RemoteAddr,
    certificates: PeerCertificates,
    slot: ConnectionSlot,
    activity: Activity,
}

impl PeerInfo {
    fn new(remote: SocketAddr) -> Self {
        Self {
            remote: RemoteAddr(remote),
            certificates: PeerCertificates::default(),
            slot: ConnectionSlot::default(),
            activity: Activity::accepted(),
        }
    }
}

pub(crate) async fn serve_connection<S>(
    connection: Connection,
    service: S,
) -> Result<(), ServeError>
where
    S: Service<Request<Incoming>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    let Connection {
        stream,
        remote,
        options,
        tasks,
    } = connection;
    stream.set_nodelay(true)?;
    let mut peer = PeerInfo::new(remote);
    let Some(tls) = options.tls.clone() else {
        return serve_http1(stream, service, peer, &options, &tasks).await;
    };
    let stopping = tasks.stopping();
    let stream = tokio::select! {
        done = tokio::time::timeout(options.handshake_timeout, handshake(stream, tls)) => {
            done.map_err(|_| ServeError::Timeout("in the TLS handshake"))??
        }
        () = stopping.cancelled() => return Ok(()),
    };
    let (_, session) = stream.get_ref();
    let certificates = session.peer_certificates().unwrap_or_default();
    peer.certificates = PeerCertificates(certificates.into());
    if session.alpn_protocol() == Some(b"h2") {
        serve_http2(stream, service, peer, &options, &tasks).await
    } else {
        serve_http1(stream, service, peer, &options, &tasks).await
    }
}

async fn handshake(
    mut stream: TcpStream,
    tls: Arc<ServerConfig>,
) -> Result<TlsStream<TcpStream>, ServeError> {
    let mut first = [0; 1];
    stream.peek(&mut first).await?;
    let [byte] = first;
    if byte != TLS_HANDSHAKE && byte.is_ascii_alphabetic() {
        // Without this answer the client would see a connection that closes for no reason.
        stream.write_all(PLAIN_ON_TLS).await?;
        stream.shutdown().await?;
        return Err(ServeError::PlainHttp);
    }
    Ok(TlsAcceptor::from(tls).accept(stream).await?)
}

async fn serve_http1<I, S>(
    io: I,
    service: S,
    peer: PeerInfo,
    options: &ServeOptions,
    tasks: &Tasks,
) -> Result<(), ServeError>
where
    I: Io + 'static,
    S: Service<Request<Incoming>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .half_close(false);
    let activity = peer.activity.clone();
    let handler = service_fn(move |request| respond(service.clone(), peer.clone(), request));
    let connection = builder.serve_connection(TokioIo::new(io), handler);
    let connection = connection.with_upgrades();
    drive(
        connection,
        |it| it.graceful_shutdown(),
        &activity,
        options,
        tasks,
    )
    .await
}

async fn serve_http2<I, S>(
    io: I,
    service: S,
    peer: PeerInfo,
    options: &ServeOptions,
    tasks: &Tasks,
) -> Result<(), ServeError>
where
    I: Io + 'static,
    S: Service<Request<Incoming>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    let mut builder = hyper::server::conn::http2::Builder::new(TrackedExecutor(tasks.clone()));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.max_concurrent_streams)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    let activity = peer.activity.clone();
    let handler = service_fn(move |request| respond(service.clone(), peer.clone(), request));
    let connection = builder.serve_connection(TokioIo::new(io), handler);
    drive(
        connection,
        |it| it.graceful_shutdown(),
        &activity,
        options,
        tasks,
    )
    .await
}

/// Runs a connection to its end, within the listener's limits.
async fn drive<C>(
    connection: C,
    shut_down: impl FnOnce(Pin<&mut C>),
    activity: &Activity,
    options: &ServeOptions,
    tasks: &Tasks,
) -> Result<(), ServeError>
where
    C: Future<Output = Result<(), hyper::Error>>,
{
    let limits = (options.quiet, options.drain_timeout);
    let stopping = tasks.stopping();
    let ended = activity.drive(connection, shut_down, limits, &stopping);
    Ok(ended.await??)
}

async fn respond<S>(
    service: S,
    peer: PeerInfo,
    mut request: Request<Incoming>,
) -> Result<Response<Guarded<Busy>>, Infallible>
where
    S: Service<Request<Incoming>, Response = Response<Body>>,
    S::Error: Into<BoxError>,
{
    let busy = peer.activity.begin();
    let extensions = request.extensions_mut();
    extensions.insert(peer.remote);
    extensions.insert(peer.certificates);
    extensions.insert(peer.slot);
    let answered = service.oneshot(request).await.unwrap_or_else(|error| {
        tracing::error!(error = %chain(&*error.into()), "handler failed");
        let mut response = Response::new(body::full("Internal Server Error\n"));
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        response
    });
    Ok(answered.map(|body| Guarded::new(body, busy)))
}

/// Runs HTTP/2 streams as tracked tasks.
#[derive(Clone)]
struct TrackedExecutor(Tasks);

impl<F> Executor<F> for TrackedExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn("h2 stream", future);
    }
}
