//! No user keeps the others waiting: bodies on their way, and places in flight.

use http::{HeaderMap, Request, Response};
use k3s_serve::Body;
use k3s_serve::body::{self, BodySender};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower::Service;

use crate::harness::{Api, DEADLINE, MAPS, admin, map, request, start};

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

fn review() -> Value {
    json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}})
}

fn with_token(mut request: Request<Body>, token: &str) -> Request<Body> {
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    request
}

/// A request whose body begins and does not end.
async fn stalled(token: &str) -> (BodySender, Request<Body>) {
    let (sender, body) = body::channel(4);
    assert!(sender.send("{").await);
    let mut stalled = with_token(request("POST", REVIEWS, &json!({})), token);
    *stalled.body_mut() = body;
    (sender, stalled)
}

/// The token of an account without rights.
async fn account(api: &Api, name: &str) -> String {
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let made = json!({"metadata": {"name": name}});
    api.ok("POST", accounts, made).await;
    let path = format!("{accounts}/{name}/token");
    let token = api.ok("POST", &path, json!({"spec": {}})).await;
    token["status"]["token"].as_str().unwrap().to_owned()
}

fn retry_after(headers: &HeaderMap) -> Option<&str> {
    headers.get("retry-after")?.to_str().ok()
}

#[tokio::test]
async fn bodies_that_do_not_come_keep_nobody_waiting() {
    let api = start().await;
    let (slow, other) = (account(&api, "slow").await, account(&api, "other").await);
    let mut senders = Vec::new();
    let mut waiting = JoinSet::new();
    for _ in 0..1_200 {
        let (sender, request) = stalled(&slow).await;
        senders.push(sender);
        waiting.spawn(api.service.clone().call(request));
    }
    // What is above the user's share is refused at once.
    let refused: Response<Body> = tokio::time::timeout(DEADLINE, waiting.join_next())
        .await
        .unwrap()
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(
        (refused.status().as_u16(), retry_after(refused.headers())),
        (429, Some("1"))
    );
    for token in [other.as_str(), "fixed-token"] {
        let request = with_token(request("POST", REVIEWS, &review()), token);
        assert_eq!(api.send(request, None).await.code, 201);
    }
    api.ok("POST", MAPS, map("a", "1")).await;
    let own = with_token(request("POST", REVIEWS, &review()), &slow);
    assert_eq!(
        api.send(own, None).await.code,
        429,
        "the slow one itself has to wait"
    );
    // The share comes back with the requests.
    waiting.abort_all();
    while waiting.join_next().await.is_some() {}
    let own = with_token(request("POST", REVIEWS, &review()), &slow);
    assert_eq!(api.send(own, None).await.code, 201);
}

#[tokio::test]
async fn bodies_in_memory_have_a_bound_for_each_user() {
    let api = start().await;
    let large = "x".repeat(1024 * 1024);
    let mut waiting = JoinSet::new();
    let mut senders = Vec::new();
    for _ in 0..40 {
        let (sender, request) = stalled("fixed-token").await;
        assert!(sender.send(large.clone()).await);
        senders.push(sender);
        waiting.spawn(api.service.clone().call(request));
    }
    for _ in 0..20 {
        let refused = waiting.join_next().await.unwrap().unwrap().unwrap();
        assert_eq!(refused.status(), 429);
    }
    let other = account(&api, "other").await;
    let own = with_token(request("POST", REVIEWS, &review()), &other);
    assert_eq!(api.send(own, None).await.code, 201);
    assert_eq!(
        api.call_as(admin(), "GET", MAPS, Value::Null).await.code,
        200
    );
}
