//! Middlewares over the wire.

use bytes::Bytes;
use http_body_util::Full;
use k3s_client::resources;
use k3s_ingress::model::{
    Action, BasicAuth, Buffering, Compress, Headers, IpStrategy, Middleware, RateLimit,
    RedirectScheme, Reference, Route, Source,
};
use serde_json::json;

use crate::client::{fetch, get, seen, send, text};
use crate::lab::{Lab, PATIENCE, backend, endpoints, outcome, route, server};

fn with(host: &str, actions: Vec<Action>) -> Route {
    let mut route = route(host, backend("web"));
    let named = |(at, action)| Middleware {
        name: format!("shop/m{at}"),
        action,
    };
    route.middlewares = actions.into_iter().enumerate().map(named).collect();
    route
}

fn everybody() -> IpStrategy {
    IpStrategy {
        depth: 0,
        excluded: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_do_their_part() {
    let one = server("one").await;
    let auth = |secret: &str| {
        Action::BasicAuth(BasicAuth {
            secret: Reference {
                namespace: "shop".into(),
                name: secret.into(),
            },
            realm: String::new(),
            header_field: "x-user".into(),
            remove_header: true,
        })
    };
    let headers = Headers {
        request: vec![
            ("x-added".into(), "1".into()),
            ("accept".into(), String::new()),
        ],
        response: vec![("x-frame-options".into(), "DENY".into())],
        response_on_tls: Vec::new(),
        allowed_hosts: Vec::new(),
        cors: None,
    };
    let redirect = RedirectScheme {
        scheme: "https".into(),
        port: String::new(),
        permanent: true,
    };
    let limit = RateLimit {
        average: 1,
        period_ms: 3_600_000,
        burst: 2,
        source: Source::Client(everybody()),
    };
    let lab = Lab::start(
        outcome(vec![
            with("auth", vec![auth("users")]),
            with("noauth", vec![auth("missing")]),
            with("strip", vec![Action::StripPrefix(vec!["/api".into()]), Action::Headers(headers)]),
            with("redirect", vec![Action::RedirectScheme(redirect)]),
            with("limit", vec![Action::RateLimit(limit)]),
            with("deny", vec![Action::IpAllowList((vec!["10.0.0.0/8".into()], everybody()))]),
            with("buffer", vec![Action::Buffering(Buffering { max_request_bytes: 4, max_response_bytes: 0 })]),
            with("zip", vec![Action::Compress(Compress { min_bytes: 1, excluded: vec![], included: vec![] })]),
        ]),
        |api| {
            endpoints(api, "web", &[one]);
            // test:test, from Traefik's documentation.
            api.seed(
                &resources::SECRETS,
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "users", "namespace": "shop"},
                "data": {"users": "dGVzdDokYXByMSRINnVza2trVyRJZ1hMUDZld1RyU3VCa1RycUU4d2ovCg=="}}),
            );
        },
    )
    .await;
    // Secrets are watched once they are named: until the users are known, nobody is let in or asked.
    let deadline = std::time::Instant::now() + PATIENCE;
    let mut refused = send(lab.web, get("/", "auth")).await;
    while !refused.headers().contains_key("www-authenticate")
        && std::time::Instant::now() < deadline
    {
        refused = send(lab.web, get("/", "auth")).await;
    }
    assert_eq!(
        (
            refused.status().as_u16(),
            &refused.headers()["www-authenticate"]
        ),
        (401, &"Basic realm=\"traefik\"".parse().unwrap())
    );
    for (credentials, status) in [
        ("dGVzdDp0ZXN0", 200),
        ("dGVzdDp0ZXN0", 200),
        ("dGVzdDpuby1ubw==", 401),
    ] {
        let mut request = get("/", "auth");
        request.headers_mut().insert(
            "authorization",
            format!("Basic {credentials}").parse().unwrap(),
        );
        let response = send(lab.web, request).await;
        assert_eq!(response.status().as_u16(), status);
        if status == 200 {
            let seen: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
            assert_eq!(seen["headers"]["x-user"], "test");
            assert!(seen["headers"].get("authorization").is_none());
        }
    }
    assert_eq!(
        fetch(lab.web, "noauth", "/").await.0,
        404,
        "without its users a route is not served"
    );
    let stripped = seen(lab.web, "strip", "/api/x?y=1").await;
    assert_eq!(
        (
            stripped["uri"].as_str(),
            &stripped["headers"]["x-forwarded-prefix"]
        ),
        (Some("/x?y=1"), &"/api".into())
    );
    assert_eq!(stripped["headers"]["x-added"], "1");
    let response = send(lab.web, get("/", "strip")).await;
    assert_eq!(response.headers()["x-frame-options"], "DENY");
    let response = send(lab.web, get("/x", "redirect")).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["location"]),
        (301, &"https://redirect/x".parse().unwrap())
    );
    let codes = [
        fetch(lab.web, "limit", "/").await.0,
        fetch(lab.web, "limit", "/").await.0,
        fetch(lab.web, "limit", "/").await.0,
    ];
    assert_eq!(codes, [200, 200, 429]);
    assert_eq!(fetch(lab.web, "deny", "/").await.0, 403);
    for (body, status) in [("1234", 200), ("12345", 413)] {
        let mut request = get("/echo", "buffer").map(|_| Full::new(Bytes::from(body)));
        *request.method_mut() = http::Method::POST;
        assert_eq!(send(lab.web, request).await.status().as_u16(), status);
    }
    let mut request = get("/", "zip");
    request
        .headers_mut()
        .insert("accept-encoding", "gzip".parse().unwrap());
    assert_eq!(
        send(lab.web, request).await.headers()["content-encoding"],
        "gzip"
    );
}
