//! One accepted connection: TLS or not, a route of connections or HTTP, and its end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use k3s_lifecycle::Tasks;
use k3s_serve::Activity;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::port::Port;
use super::tcp;
use crate::model::TcpTls;
use crate::proxy::Connection;
use crate::table::Table;
use crate::tls::hello::{self, Prefixed};

/// A client that has not finished its handshake by then is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Request line and headers together; more is answered with 431.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Requests at once on one HTTP/2 connection (Traefik's default).
const MAX_STREAMS: u32 = 250;
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// What a stream may hold back for a slow reader before its server has to wait.
const SEND_BUFFER_BYTES: usize = 256 << 10;
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// The first byte of every TLS record that opens a handshake.
const TLS_HANDSHAKE: u8 = 0x16;
const PLAIN_ON_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

pub(crate) async fn serve(
    port: &Port,
    stream: TcpStream,
    client: SocketAddr,
    activity: Activity,
) -> io::Result<()> {
    if port.entry_point.tls {
        return serve_tls(port, stream, client, activity).await;
    }
    let table = port.proxy.table.load_full();
    if let Some(route) = tcp::find(&table, &port.entry_point, client, "", &[TcpTls::None]) {
        return tcp::pipe(port, &route.target, stream).await;
    }
    let facts = facts(port, client, activity);
    serve_http(port, stream, facts).await
}

/// Of a connection without TLS.
fn facts(port: &Port, client: SocketAddr, activity: Activity) -> Connection {
    Connection {
        entry_point: port.entry_point.name,
        client,
        activity,
        tls: false,
        server_name: Arc::default(),
        settings: None,
    }
}

async fn serve_tls(
    port: &Port,
    mut stream: TcpStream,
    client: SocketAddr,
    activity: Activity,
) -> io::Result<()> {
    let stopping = port.connections.stopping();
    let greeting = tokio::select! {
        greeting = tokio::time::timeout(HANDSHAKE_TIMEOUT, greet(&mut stream)) => greeting??,
        () = stopping.cancelled() => return Ok(()),
    };
    let Some(hello) = greeting else { return Ok(()) };
    let table = port.proxy.table.load_full();
    let name = hello.server_name.as_str();
    let kinds = [TcpTls::Passthrough, TcpTls::Terminate];
    let route = tcp::find(&table, &port.entry_point, client, name, &kinds);
    let stream = Prefixed::new(hello.read, stream);
    if let Some(route) = route {
        if route.tls == TcpTls::Passthrough {
            return tcp::pipe(port, &route.target, stream).await;
        }
        let config = route
            .tls_settings
            .as_ref()
            .map_or(&port.tls, |settings| &settings.config);
        let stream = handshake(config, stream).await?;
        return tcp::pipe(port, &route.target, stream).await;
    }
    let (config, settings) = http_config(&table, &port.tls, name);
    let stream = handshake(&config, stream).await?;
    let facts = Connection {
        tls: true,
        server_name: hello.server_name.into(),
        settings,
        ..facts(port, client, activity)
    };
    serve_http(port, stream, facts).await
}

/// The settings for a server name, and their key where they are not the default ones.
fn http_config(
    table: &Table,
    default: &Arc<ServerConfig>,
    name: &str,
) -> (Arc<ServerConfig>, Option<Arc<str>>) {
    match table.tls_of(name) {
        Some(settings) => (settings.config.clone(), Some(settings.key.clone())),
        None => (default.clone(), None),
    }
}

/// The client's greeting; none if the client spoke plain HTTP, which is answered with an error.
async fn greet(stream: &mut TcpStream) -> io::Result<Option<hello::Hello>> {
    let mut first = [0; 1];
    stream.peek(&mut first).await?;
    if first
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() && *byte != TLS_HANDSHAKE)
    {
        stream.write_all(PLAIN_ON_TLS).await?;
        stream.shutdown().await?;
        return Ok(None);
    }
    hello::read(stream).await.map(Some)
}

async fn handshake<S>(
    config: &Arc<ServerConfig>,
    stream: S,
) -> io::Result<tokio_rustls::server::TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    tokio::time::timeout(
        HANDSHAKE_TIMEOUT,
        TlsAcceptor::from(config.clone()).accept(stream),
    )
    .await?
}

/// HTTP/1.1, or HTTP/2 if the client begins so (by ALPN, or with prior knowledge).
async fn serve_http<S>(port: &Port, stream: S, connection: Connection) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (proxy, activity) = (port.proxy.clone(), connection.activity.clone());
    let service = service_fn(move |request| {
        let (proxy, connection) = (proxy.clone(), connection.clone());
        async move { Ok::<_, Infallible>(proxy.serve(&connection, request).await) }
    });
    let mut builder = auto::Builder::new(Streams(port.connections.clone()));
    builder
        .http1()
        // The connection's activity has the deadlines, from `accept` on: this timer starts only once the
        // version is known.
        .header_read_timeout(None::<Duration>)
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(KEEP_ALIVE);
    let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let limits = (port.limits.quiet, port.limits.drain);
    let stopping = port.connections.stopping();
    let ended = activity.drive(served, |it| it.graceful_shutdown(), limits, &stopping);
    ended
        .await
        .map_err(io::Error::other)?
        .map_err(io::Error::other)
}

/// Runs HTTP/2 streams as tracked tasks that are finished, not cut off, when the group stops.
#[derive(Clone, Debug)]
struct Streams(Tasks);

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn("ingress stream", future);
    }
}
