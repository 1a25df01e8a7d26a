//! Requests that are written to get past rules.

use std::net::SocketAddr;

use k3s_ingress::model::{Action, Headers, Matcher, Middleware, Route};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{fetch, get, send, text};
use crate::lab::{Lab, backend, endpoints, outcome, route, server};

/// What is answered to these bytes.
async fn raw(to: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is closed with bytes unread is reset after the answer.
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        answer.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(answer).unwrap()
}

fn path_route(path: &str, service: &str, priority: i64) -> Route {
    let mut route = route("a", backend(service));
    route.name = format!("shop/web/{path}");
    route.priority = priority;
    route
        .rule
        .extend([Matcher::PathSegments(path.into()), Matcher::All(2)]);
    route
}

/// `/` leads to one server, `/admin` to another.
async fn lab() -> Lab {
    let (one, two) = (server("public").await, server("admin").await);
    let mut public = path_route("", "web", 1);
    public.rule = vec![Matcher::Host("a".into())];
    let routes = vec![public, path_route("/admin", "admin", 2)];
    Lab::start(outcome(routes), |api| {
        endpoints(api, "web", &[one]);
        endpoints(api, "admin", &[two]);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_servers_may_read_as_another_routes_is_refused() {
    let lab = lab().await;
    for path in [
        "/admin%2f",
        "/admin%2Fsecret",
        "/x/..%2fadmin",
        "/x%2f..%2fadmin",
        "/admin;x",
        "/..;/admin",
        "/x\\..\\admin",
        "/%5c..%5cadmin",
        "/admin%00",
        "/admin%252fx",
    ] {
        let answer = raw(
            lab.web,
            &format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
    // One route whatever the reading: passed on as it is.
    for path in [
        "/projects/group%2Fname",
        "/orders;id=1",
        "/100%25",
        "/room/%23x",
    ] {
        let (status, seen) = fetch(lab.web, "a", path).await;
        let seen: Value = serde_json::from_str(&seen).unwrap();
        assert_eq!((status, &seen["uri"]), (200, &path.into()));
        assert_eq!(seen["server"], "public");
    }
    let (status, seen) = fetch(lab.web, "a", "/admin/a%2Fb").await;
    assert_eq!(status, 200, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_one_is_refused() {
    let lab = lab().await;
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    ] {
        let answer = raw(lab.web, head).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{head}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_undo_or_imitate_what_layers_say() {
    let one = server("one").await;
    let mut with_headers = route("a", backend("web"));
    with_headers.middlewares = vec![Middleware {
        name: "shop/h".into(),
        action: Action::Headers(Headers {
            request: vec![("X-Secret".into(), "ours".into())],
            response: Vec::new(),
            response_on_tls: Vec::new(),
            allowed_hosts: Vec::new(),
            cors: None,
        }),
    }];
    let lab = Lab::start(outcome(vec![with_headers]), |api| {
        endpoints(api, "web", &[one]);
    })
    .await;
    let mut request = get("/", "a");
    let headers = request.headers_mut();
    for (name, value) in [
        ("connection", "X-Secret, X-Gone"),
        ("x-gone", "1"),
        ("x_secret", "theirs"),
        ("x-forwarded-tls-client-cert-info", "theirs"),
        ("x_forwarded_for", "6.6.6.6"),
        ("forwarded", "for=6.6.6.6"),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    let seen: Value = serde_json::from_str(&text(send(lab.web, request).await).await).unwrap();
    let headers = seen["headers"].as_object().unwrap();
    assert_eq!(headers["x-secret"], "ours");
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    for name in [
        "x-gone",
        "x_secret",
        "x-forwarded-tls-client-cert-info",
        "x_forwarded_for",
        "forwarded",
    ] {
        assert!(!headers.contains_key(name), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_to_another_http_is_not_passed_on() {
    let lab = lab().await;
    let answer = raw(
        lab.web,
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let seen = answer.to_ascii_lowercase();
    assert!(
        !seen.contains("\"upgrade\"") && !seen.contains("http2-settings"),
        "{answer}"
    );
}
