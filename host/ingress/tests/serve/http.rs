//! Routing, headers, balancing and upgrades.

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use k3s_client::resources;
use k3s_ingress::model::{Cookie, Matcher, Scheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{body, fetch, get, seen, send, send_h2};
use crate::lab::{Lab, backend, endpoints, outcome, route, server};

#[tokio::test(flavor = "multi_thread")]
async fn requests_reach_their_server_and_say_who_asked() {
    let one = server("one").await;
    let mut api = route("api.example.com", backend("web"));
    api.rule
        .extend([Matcher::PathSegments("/v1".into()), Matcher::All(2)]);
    let lab = Lab::start(
        outcome(vec![api, route("none.example.com", backend("none"))]),
        |api| {
            endpoints(api, "web", &[one]);
        },
    )
    .await;
    let mut request = get("/v1/a%20b?q=1", "API.example.com:8080");
    request
        .headers_mut()
        .insert("x-forwarded-for", "6.6.6.6".parse().unwrap());
    request
        .headers_mut()
        .insert("connection", "x-secret".parse().unwrap());
    request
        .headers_mut()
        .insert("x-secret", "1".parse().unwrap());
    let response = send(lab.web, request).await;
    let seen: serde_json::Value =
        serde_json::from_str(&crate::client::text(response).await).unwrap();
    assert_eq!(
        (seen["server"].as_str(), seen["uri"].as_str()),
        (Some("one"), Some("/v1/a%20b?q=1"))
    );
    let headers = &seen["headers"];
    for (name, value) in [
        ("host", "API.example.com:8080"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "API.example.com:8080"),
        ("x-forwarded-port", "8080"),
        ("x-forwarded-server", "node-1"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    assert!(headers.get("x-secret").is_none(), "{headers}");
    assert_eq!(
        fetch(lab.web, "api.example.com", "/v2").await,
        (404, "404 page not found\n".into())
    );
    assert_eq!(
        fetch(lab.web, "api.example.com", "/v1/../admin").await.0,
        404,
        "no way around a rule"
    );
    assert_eq!(
        fetch(lab.web, "none.example.com", "/").await,
        (503, "no available server\n".into())
    );
    let address_written = |api: &k3s_client::fake::FakeApi| {
        let object = api.get(&resources::INGRESSES, "shop", "web").unwrap();
        object["status"]["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.10"
    };
    assert!(lab.api.eventually(address_written).await);
    let shown = lab.metrics.render();
    assert!(
        shown.contains(
            "traefik_service_requests_total{code=\"200\",method=\"GET\",service=\"shop-web-80\"} 1"
        ),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_take_turns_and_dead_ones_are_passed_over() {
    let (one, two) = (server("one").await, server("two").await);
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut sticky = backend("web");
    sticky.sticky = Some(Cookie {
        name: "who".into(),
        secure: false,
        http_only: true,
        same_site: None,
        max_age_s: None,
        path: None,
        domain: None,
    });
    let lab = Lab::start(
        outcome(vec![route("a", backend("web")), route("b", sticky)]),
        |api| {
            endpoints(api, "web", &[one, gone, two]);
        },
    )
    .await;
    let mut names = std::collections::BTreeMap::new();
    for _ in 0..30 {
        let name = seen(lab.web, "a", "/").await["server"]
            .as_str()
            .unwrap()
            .to_owned();
        *names.entry(name).or_insert(0) += 1;
    }
    assert!(
        names.len() == 2 && names.values().all(|count| *count >= 10),
        "{names:?}"
    );
    // A request that was not sent may have a body.
    for _ in 0..6 {
        let mut request = get("/echo", "a").map(|_| Full::new(Bytes::from_static(b"payload")));
        *request.method_mut() = http::Method::POST;
        let response = send(lab.web, request).await;
        assert_eq!(crate::client::text(response).await, "payload");
    }
    let first = send(lab.web, get("/", "b")).await;
    let cookie = first.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        cookie.starts_with("who=") && cookie.ends_with("; Path=/; HttpOnly"),
        "{cookie}"
    );
    let home: serde_json::Value = serde_json::from_str(&crate::client::text(first).await).unwrap();
    for _ in 0..5 {
        let mut request = get("/", "b");
        request
            .headers_mut()
            .insert("cookie", cookie.split(';').next().unwrap().parse().unwrap());
        let response = send(lab.web, request).await;
        assert!(response.headers().get("set-cookie").is_none());
        let now: serde_json::Value =
            serde_json::from_str(&crate::client::text(response).await).unwrap();
        assert_eq!(now["server"], home["server"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_become_tunnels() {
    let one = server("one").await;
    let lab = Lab::start(outcome(vec![route("a", backend("web"))]), |api| {
        endpoints(api, "web", &[one])
    })
    .await;
    let mut request = get("/upgrade", "a");
    request
        .headers_mut()
        .insert("connection", "Upgrade".parse().unwrap());
    request
        .headers_mut()
        .insert("upgrade", "websocket".parse().unwrap());
    let response = send(lab.web, request).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["upgrade"]),
        (101, &"websocket".parse().unwrap())
    );
    let mut io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    for word in ["hello", "again"] {
        io.write_all(word.as_bytes()).await.unwrap();
        let mut back = [0; 5];
        io.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, word.as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_goes_through_with_trailers() {
    let one = server("one").await;
    let mut h2c = backend("web");
    h2c.scheme = Scheme::H2c;
    let lab = Lab::start(outcome(vec![route("grpc.example.com", h2c)]), |api| {
        endpoints(api, "web", &[one])
    })
    .await;
    let collected = body(send_h2(lab.websecure, "grpc.example.com", "/grpc").await).await;
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(collected.to_bytes(), "message");
    let seen = crate::client::text(send_h2(lab.websecure, "grpc.example.com", "/x").await).await;
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(
        (seen["version"].as_str(), seen["uri"].as_str()),
        (Some("HTTP/2.0"), Some("http://grpc.example.com/x"))
    );
    assert_eq!(
        (
            &seen["headers"]["te"],
            &seen["headers"]["x-forwarded-proto"]
        ),
        (&"trailers".into(), &"https".into())
    );
}
