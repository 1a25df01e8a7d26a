//! Nothing is lost when tables and endpoints change under load, nor when the server stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use k3s_ingress::model::{Change, Matcher, Route};

use crate::client::{fetch, get, send, text};
use crate::lab::{Lab, backend, endpoints, outcome, route, server};

fn many(count: usize, service: &str) -> Vec<Route> {
    let one = |at: usize| {
        let mut one = route("a", backend(service));
        one.name = format!("shop/web/{at}");
        one.rule
            .extend([Matcher::PathSegments(format!("/p{at}")), Matcher::All(2)]);
        one
    };
    (0..count).map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn table_swaps_lose_no_request() {
    let (one, two) = (server("one").await, server("two").await);
    let lab = Lab::start(outcome(many(10, "web")), |api| {
        endpoints(api, "web", &[one]);
        endpoints(api, "other", &[two]);
    })
    .await;
    let (stop, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut clients = Vec::new();
    for _ in 0..4 {
        let (stop, done, to) = (stop.clone(), done.clone(), lab.web);
        clients.push(tokio::spawn(async move {
            let stream = tokio::net::TcpStream::connect(to).await.unwrap();
            let io = hyper_util::rt::TokioIo::new(stream);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            while !stop.load(Ordering::Relaxed) {
                let response = sender.send_request(get("/p3/x", "a")).await.unwrap();
                assert_eq!(response.status(), 200);
                text(response).await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for turn in 0..20 {
        let service = if turn % 2 == 0 { "other" } else { "web" };
        lab.decide(Change::Put(outcome(many(500 + turn, service))));
        endpoints(&lab.api, "spare", &[one, two]);
        let before = done.load(Ordering::Relaxed);
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while done.load(Ordering::Relaxed) < before + 20 {
            assert!(std::time::Instant::now() < deadline, "requests stand still");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    // What is gone is gone.
    lab.decide(Change::Gone(crate::lab::key()));
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while fetch(lab.web, "a", "/p3").await.0 != 404 {
        assert!(
            std::time::Instant::now() < deadline,
            "the route is still there"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_are_finished_at_stop() {
    let one = server("one").await;
    let lab = Lab::start(outcome(vec![route("a", backend("web"))]), |api| {
        endpoints(api, "web", &[one])
    })
    .await;
    let slow = tokio::spawn(send(lab.web, get("/slow", "a")));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let stopped = tokio::spawn({
        let tasks = lab.tasks.clone();
        async move { tasks.stop(Duration::from_secs(10)).await }
    });
    let response = slow.await.unwrap();
    assert_eq!(text(response).await, "one at last");
    assert!(stopped.await.unwrap());
    assert!(
        tokio::net::TcpStream::connect(lab.web).await.is_err(),
        "the port is free again"
    );
}
