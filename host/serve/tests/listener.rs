//! The listener as its peers see it: both protocols, client certificates, draining, upgrades.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use k3s_lifecycle::Tasks;
use k3s_serve::{
    Body, BoxIo, Capacity, Listener, PeerCertificates, QuietLimits, RemoteAddr, ServeOptions, body,
    connect, serve, upgrade,
};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::service_fn;

const DEADLINE: Duration = Duration::from_secs(10);

struct Pki {
    server: Arc<ServerConfig>,
    client: ClientConfig,
}

fn pki() -> Pki {
    let cert = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(cert.signing_key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.cert.der().clone()).unwrap();
    let roots = Arc::new(roots);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .allow_unauthenticated()
        .build()
        .unwrap();
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![cert.cert.der().clone()], key.clone_key())
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![cert.cert.der().clone()], key)
        .unwrap();
    Pki {
        server: Arc::new(server),
        client,
    }
}

fn https(pki: &Pki) -> ServeOptions {
    ServeOptions::https(Listener::ApiServer, pki.server.clone())
}

async fn describe(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let certificates = request
        .extensions()
        .get::<PeerCertificates>()
        .unwrap()
        .len();
    let remote = request.extensions().get::<RemoteAddr>().unwrap().0.ip();
    let text = format!("{:?} {certificates} {remote}", request.version());
    Ok(Response::new(body::full(text)))
}

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

async fn dial(addr: SocketAddr, config: &ClientConfig, alpn: &[&[u8]]) -> BoxIo {
    let mut config = config.clone();
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    let tcp = TcpStream::connect(addr).await.unwrap();
    connect::tls(
        Box::new(tcp),
        ServerName::try_from("localhost").unwrap(),
        Arc::new(config),
    )
    .await
    .unwrap()
}

fn get(path: &str) -> Request<Body> {
    Request::builder()
        .uri(path)
        .header("host", "localhost")
        .body(body::empty())
        .unwrap()
}

#[tokio::test]
async fn http1_and_http2_see_the_same_facts() {
    let (pki, tasks) = (pki(), Tasks::root("test"));
    let (listener, addr) = bind().await;
    serve(listener, https(&pki), service_fn(describe), &tasks);

    let io = dial(addr, &pki.client, &[b"http/1.1"]).await;
    let answer = connect::send(io, get("/"), &tasks).await.unwrap();
    assert_eq!(
        body::read(answer.into_body(), 100).await.unwrap(),
        "HTTP/1.1 1 127.0.0.1"
    );

    let io = dial(addr, &pki.client, &[b"h2"]).await;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io))
            .await
            .unwrap();
    let driver = tokio::spawn(connection);
    let request = Request::builder()
        .uri("https://localhost/")
        .body(body::empty())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    assert_eq!(
        body::read(answer.into_body(), 100).await.unwrap(),
        "HTTP/2.0 1 127.0.0.1"
    );
    drop(sender);
    assert!(tasks.stop(DEADLINE).await);
    let _closed = driver.await;
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_told_so() {
    let (pki, tasks) = (pki(), Tasks::root("test"));
    let (listener, addr) = bind().await;
    serve(listener, https(&pki), service_fn(describe), &tasks);
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    // The server closes with bytes unread, which may arrive as a reset after the answer.
    let mut buffer = [0; 256];
    while let Ok(n) = tcp.read(&mut buffer).await {
        if n == 0 {
            break;
        }
        text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
    }
    assert!(
        text.contains("Client sent an HTTP request to an HTTPS server."),
        "{text}"
    );
    assert!(tasks.stop(DEADLINE).await);
}

#[tokio::test]
async fn a_stop_ends_although_a_stream_never_does() {
    let tasks = Tasks::root("test");
    let (listener, addr) = bind().await;
    let options = ServeOptions {
        drain_timeout: Duration::from_millis(200),
        ..ServeOptions::default()
    };
    let endless = service_fn(|_: Request<Incoming>| async {
        let first = futures_util::stream::once(async { Ok(Bytes::from_static(b"first\n")) });
        let never = futures_util::stream::pending();
        Ok::<_, Infallible>(Response::new(body::stream(futures_util::StreamExt::chain(
            first, never,
        ))))
    });
    serve(listener, options, endless, &tasks);
    let client_tasks = Tasks::root("client");
    let tcp = TcpStream::connect(addr).await.unwrap();
    let mut answer = connect::send(Box::new(tcp), get("/"), &client_tasks)
        .await
        .unwrap();
    let frame = answer.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "first\n");
    assert!(tasks.stop(DEADLINE).await);
    assert!(answer.body_mut().frame().await.unwrap().is_err());
    assert!(client_tasks.stop(DEADLINE).await);
}

/// Answers an upgrade to the protocol `echo` by sending back what comes.
async fn echo(mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    if !upgrade::is_upgrade(request.headers()) {
        let mut refusal = Response::new(body::full("no upgrade"));
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(refusal);
    }
    let on = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let io = TokioIo::new(on.await.unwrap());
        let (mut read, mut write) = tokio::io::split(io);
        let _done = tokio::io::copy(&mut read, &mut write).await;
        let _closed = write.shutdown().await;
    });
    let response = Response::builder()
        .status(101)
        .header("connection", "upgrade")
        .header("upgrade", "echo");
    Ok(response.body(body::empty()).unwrap())
}

#[tokio::test]
async fn an_upgrade_is_piped_to_the_server_behind() {
    let tasks = Tasks::root("test");
    let plain = ServeOptions::default;
    let (behind, behind_addr) = bind().await;
    serve(behind, plain(), service_fn(echo), &tasks);
    let (front, front_addr) = bind().await;
    let group = tasks.clone();
    let proxy = service_fn(move |mut request: Request<Incoming>| {
        let group = group.clone();
        async move {
            let io = Box::new(TcpStream::connect(behind_addr).await.unwrap());
            let mut outbound = get("/");
            *outbound.headers_mut() = request.headers().clone();
            upgrade::proxy(&mut request, outbound, io, &group).await
        }
    });
    serve(front, plain(), proxy, &tasks);

    let tcp = TcpStream::connect(front_addr).await.unwrap();
    let mut request = get("/");
    request
        .headers_mut()
        .insert("connection", "Upgrade".parse().unwrap());
    request
        .headers_mut()
        .insert("upgrade", "echo".parse().unwrap());
    let mut answer = connect::send(Box::new(tcp), request, &tasks).await.unwrap();
    assert_eq!(answer.status(), 101);
    let mut io = TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap());
    io.write_all(b"hello").await.unwrap();
    let mut got = [0; 5];
    io.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"hello");

    let tcp = TcpStream::connect(front_addr).await.unwrap();
    let refused = connect::send(Box::new(tcp), get("/"), &tasks)
        .await
        .unwrap();
    assert_eq!(refused.status(), 400);
    assert_eq!(
        body::read(refused.into_body(), 100).await.unwrap(),
        "no upgrade"
    );
    assert!(tasks.stop(DEADLINE).await);
}

/// Until the peer closes or resets the connection.
async fn closed(io: &mut (impl AsyncReadExt + Unpin)) {
    let mut buffer = [0; 256];
    while !matches!(io.read(&mut buffer).await, Ok(0) | Err(_)) {}
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_in_every_protocol() {
    let (pki, tasks) = (pki(), Tasks::root("test"));
    let quiet = QuietLimits {
        first: Duration::from_millis(200),
        idle: Duration::from_millis(200),
    };
    let plain = ServeOptions {
        quiet,
        drain_timeout: Duration::from_millis(100),
        ..ServeOptions::default()
    };
    let secure = ServeOptions {
        tls: Some(pki.server.clone()),
        ..plain.clone()
    };
    let (listener, plain_addr) = bind().await;
    serve(listener, plain, service_fn(describe), &tasks);
    let (listener, addr) = bind().await;
    serve(listener, secure, service_fn(describe), &tasks);
    let all = async {
        closed(&mut TcpStream::connect(plain_addr).await.unwrap()).await;
        closed(&mut dial(addr, &pki.client, &[b"http/1.1"]).await).await;
        closed(&mut dial(addr, &pki.client, &[b"h2"]).await).await;
        // A peer that answers pings, but asks nothing more.
        let io = dial(addr, &pki.client, &[b"h2"]).await;
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io))
                .await
                .unwrap();
        let driver = tokio::spawn(connection);
        let request = Request::get("https://localhost/").body(body::empty());
        let answer = sender.send_request(request.unwrap()).await.unwrap();
        assert!(answer.status().is_success());
        body::read(body::boxed(answer.into_body()), 100)
            .await
            .unwrap();
        let _ended = driver.await.unwrap();
    };
    tokio::time::timeout(DEADLINE, all).await.unwrap();
    assert!(tasks.stop(DEADLINE).await);
}

#[tokio::test]
async fn a_client_with_its_share_of_connections_leaves_places_to_others() {
    let tasks = Tasks::root("test");
    let (listener, addr) = bind().await;
    let options = ServeOptions {
        capacity: Capacity {
            total: 4,
            per_client: 2,
        },
        ..ServeOptions::default()
    };
    serve(listener, options, service_fn(describe), &tasks);
    let held = [
        TcpStream::connect(addr).await.unwrap(),
        TcpStream::connect(addr).await.unwrap(),
    ];
    let mut third = TcpStream::connect(addr).await.unwrap();
    tokio::time::timeout(DEADLINE, closed(&mut third))
        .await
        .unwrap();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let other = socket.connect(addr).await.unwrap();
    let answer = connect::send(Box::new(other), get("/"), &tasks)
        .await
        .unwrap();
    let seen = body::read(answer.into_body(), 100).await.unwrap();
    assert_eq!(seen, "HTTP/1.1 0 127.0.0.2");
    // A closed connection makes room for the same client.
    drop(held);
    let answered = async {
        loop {
            let io = Box::new(TcpStream::connect(addr).await.unwrap());
            if connect::send(io, get("/"), &tasks).await.is_ok() {
                break;
            }
        }
    };
    tokio::time::timeout(DEADLINE, answered).await.unwrap();
    assert!(tasks.stop(DEADLINE).await);
}
