//! Connections that ask nothing, clients that open too many, and clients that come before there are routes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k3s_base::Clock;
use k3s_client::fake::FakeApi;
use k3s_ingress::model::Interest;
use k3s_ingress::{Batch, Compiled, Compiler, CompilerError, ConnectionLimits, Ingress};
use k3s_lifecycle::Tasks;
use k3s_observe::Metrics;
use k3s_serve::{Capacity, QuietLimits};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{fetch, get, send, tls};
use crate::lab::{Lab, PATIENCE, backend, config, endpoints, outcome, route, server};

fn limits() -> ConnectionLimits {
    ConnectionLimits {
        capacity: Capacity {
            total: 100,
            per_client: 3,
        },
        quiet: QuietLimits {
            first: Duration::from_millis(200),
            idle: Duration::from_secs(100),
        },
        drain: Duration::from_millis(100),
        first_routes: Duration::from_millis(100),
    }
}

async fn lab() -> Lab {
    let one = server("one").await;
    Lab::start_with(outcome(vec![route("a", backend("web"))]), limits(), |api| {
        endpoints(api, "web", &[one])
    })
    .await
}

/// Waits until the other side has closed or reset the connection.
async fn closed(mut io: impl AsyncRead + Unpin) {
    let mut buffer = [0; 256];
    let ended = async { while !matches!(io.read(&mut buffer).await, Ok(0) | Err(_)) {} };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("still open");
}

async fn connect_saying(to: SocketAddr, text: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(text).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_request_is_closed_on_every_entry_point() {
    let lab = lab().await;
    closed(connect_saying(lab.web, b"").await).await;
    closed(connect_saying(lab.web, b"PRI * HT").await).await;
    closed(connect_saying(lab.web, b"GET / HTTP/1.1\r\nHost: ").await).await;
    closed(connect_saying(lab.web, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await).await;
    closed(tls(lab.websecure, "a", &["http/1.1"]).await.0).await;
    closed(tls(lab.websecure, "a", &["h2"]).await.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_takes_longer_than_a_silence_may_is_answered() {
    let lab = lab().await;
    let response = send(lab.web, get("/slow", "a")).await;
    assert_eq!(crate::client::text(response).await, "one at last");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_its_share_of_connections_leaves_places_to_others() {
    let lab = lab().await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(connect_saying(lab.web, b"").await);
    }
    closed(connect_saying(lab.web, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(lab.web).await.unwrap();
    other
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// A plugin that never decides.
struct Broken;

#[async_trait]
impl Compiler for Broken {
    async fn interests(&self) -> Result<Vec<Interest>, CompilerError> {
        Ok(Vec::new())
    }

    async fn compile(&self, _batch: Batch) -> Result<Compiled, CompilerError> {
        Err(CompilerError {
            source: "it did not come back".into(),
            retry_after: Duration::from_secs(1000),
        })
    }

    async fn changed(&self) {
        std::future::pending().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_decision_of_the_plugin_requests_are_answered_with_404() {
    let (api, tasks) = (FakeApi::new(Clock::system()), Tasks::root("test"));
    let running = Ingress::start(
        config(limits()),
        Arc::new(Broken),
        api.client("traefik"),
        &Metrics::new(),
        &tasks,
    )
    .await
    .unwrap();
    let web = running.address("web").await.unwrap();
    let (status, _) = fetch(web, "a", "/").await;
    assert_eq!(status, 404);
    assert!(tasks.stop(PATIENCE).await);
}
