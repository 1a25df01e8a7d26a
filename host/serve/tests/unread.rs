//! Answers that are ready before the request's body was read.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use k3s_lifecycle::Tasks;
use k3s_serve::{Body, ServeOptions, body, boxed, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::service_fn;

const DEADLINE: Duration = Duration::from_secs(20);

/// Refuses, without a look at the body.
async fn refuse(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    let mut refused = Response::new(body::full("no"));
    *refused.status_mut() = StatusCode::FORBIDDEN;
    Ok(refused)
}

async fn connect() -> (TcpStream, Tasks) {
    let tasks = Tasks::root("test");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let service = boxed(service_fn(refuse));
    serve(listener, ServeOptions::default(), service, &tasks);
    (TcpStream::connect(addr).await.unwrap(), tasks)
}

fn head(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n")
}

/// Reads one answer, head and two octets of body.
async fn answer(io: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\nno") {
        let byte = tokio::time::timeout(DEADLINE, io.read_u8()).await.unwrap();
        text.push(byte.expect("the answer is cut off"));
    }
    String::from_utf8(text).unwrap().to_lowercase()
}

#[tokio::test]
async fn a_body_that_was_not_read_does_not_end_the_connection() {
    let (mut io, tasks) = connect().await;
    for _ in 0..2 {
        // Clients such as kubectl write all before they read.
        io.write_all(head(100_000).as_bytes()).await.unwrap();
        io.write_all(&[b'x'; 100_000]).await.unwrap();
        let answer = answer(&mut io).await;
        assert!(answer.starts_with("http/1.1 403"), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    assert!(tasks.stop(DEADLINE).await);
}

#[tokio::test]
async fn an_answer_says_when_the_connection_ends_with_it() {
    let (mut io, tasks) = connect().await;
    // A body that does not come.
    io.write_all(head(1_000_000).as_bytes()).await.unwrap();
    let answer = answer(&mut io).await;
    assert!(answer.contains("connection: close"), "{answer}");
    let mut rest = Vec::new();
    let end = tokio::time::timeout(DEADLINE, io.read_to_end(&mut rest)).await;
    assert_eq!(end.unwrap().unwrap(), 0);
    assert!(tasks.stop(DEADLINE).await);
}
