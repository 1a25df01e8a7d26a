//! Logs and exec passed on to a kubelet, and the API behind the real listener.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::StreamExt;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use k3s_lifecycle::Tasks;
use k3s_serve::{Body, BoxIo, ServeOptions, body, boxed, connect, serve, upgrade};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tower::service_fn;

use crate::access::RBAC;
use crate::harness::{Api, DEADLINE, MAPS, PODS, map, pod, start_with, user};

/// An authority, a server certificate for loopback, and clients.
struct Pki {
    ca: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
}

impl Pki {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self {
            ca: rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap())
                .unwrap(),
        }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        roots
    }

    fn leaf(
        &self,
        name: &str,
        groups: &[&str],
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params =
            rcgen::CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
                .unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        for group in groups {
            params
                .distinguished_name
                .push(rcgen::DnType::OrganizationName, *group);
        }
        let cert = params.signed_by(&key, &self.ca).unwrap();
        (
            cert.der().clone(),
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
    }

    fn server(&self, name: &str) -> Arc<ServerConfig> {
        let (cert, key) = self.leaf(name, &[]);
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()), provider());
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap();
        let config =
            config.with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap());
        Arc::new(config.with_single_cert(vec![cert], key).unwrap())
    }

    fn client(&self, name: &str, groups: &[&str]) -> Arc<ClientConfig> {
        let (cert, key) = self.leaf(name, groups);
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap();
        Arc::new(
            config
                .with_root_certificates(self.roots())
                .with_client_auth_cert(vec![cert], key)
                .unwrap(),
        )
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Says what it was asked; upgrades echo.
async fn kubelet(mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let asked = request.uri().to_string();
    assert!(
        !request.headers().contains_key("authorization"),
        "the client's credential must stay at the API server"
    );
    if upgrade::is_upgrade(request.headers()) {
        let on = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = TokioIo::new(on.await.unwrap());
            io.write_all(format!("{asked}\n").as_bytes()).await.unwrap();
            let (mut read, mut write) = tokio::io::split(io);
            let _ended = tokio::io::copy(&mut read, &mut write).await;
        });
        let response = Response::builder()
            .status(101)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket");
        return Ok(response.body(body::empty()).unwrap());
    }
    if asked.contains("/broken/") {
        return Ok(Response::builder()
            .status(400)
            .body(body::full(
                "container \"c\" in pod \"broken\" is waiting to start: ContainerCreating",
            ))
            .unwrap());
    }
    if asked.starts_with("/page/") {
        let uri = request.headers()["x-forwarded-uri"].to_str().unwrap();
        let page = format!("<a href=\"/x\">{uri}</a>");
        let answer = Response::builder()
            .header("content-type", "text/html")
            .header("access-control-allow-origin", "*");
        return Ok(answer.body(body::full(page)).unwrap());
    }
    let method = request.method();
    let answer = match method.as_str() {
        "GET" => format!("{asked}\n"),
        _ => format!("{method} {asked}\n"),
    };
    Ok(Response::new(body::full(answer)))
}

/// An API on a TLS port, a kubelet on another, and two pods bound to its node.
async fn cluster() -> (Api, Pki, SocketAddr) {
    let pki = Pki::new();
    let api = start_with(pki.client("kube-apiserver", &["system:masters"])).await;
    let (listener, kubelet_addr) = bind().await;
    let options = |name: &str| ServeOptions {
        tls: Some(pki.server(name)),
        ..ServeOptions::default()
    };
    serve(listener, options("n1"), service_fn(kubelet), &api.tasks);
    let (listener, addr) = bind().await;
    let service = boxed(api.service.clone());
    serve(listener, options("kube-apiserver"), service, &api.tasks);
    let status = json!({"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_addr.port()}}}});
    api.ok("POST", "/api/v1/nodes", json!({"metadata": {"name": "n1"}}))
        .await;
    api.ok("PATCH", "/api/v1/nodes/n1/status", status).await;
    for name in ["a", "broken"] {
        api.ok("POST", PODS, pod(name)).await;
        api.ok(
            "POST",
            &format!("{PODS}/{name}/binding"),
            json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": "n1"}}),
        )
        .await;
    }
    (api, pki, addr)
}

async fn dial(addr: SocketAddr, config: Arc<ClientConfig>) -> BoxIo {
    let tcp = TcpStream::connect(addr).await.unwrap();
    connect::tls(
        Box::new(tcp),
        ServerName::try_from("localhost").unwrap(),
        config,
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
async fn a_certificate_is_an_identity() {
    let (api, pki, addr) = cluster().await;
    for (name, groups, code) in [
        ("admin", &["system:masters"][..], 200),
        ("jane", &[][..], 403),
    ] {
        let io = dial(addr, pki.client(name, groups)).await;
        let answer = connect::send(io, get(MAPS), &api.tasks).await.unwrap();
        assert_eq!(answer.status(), code, "{name}");
    }
    assert!(api.tasks.stop(DEADLINE).await);
}

#[tokio::test]
async fn logs_come_from_the_kubelet() {
    let (api, ..) = cluster().await;
    let log = api
        .get(&format!("{PODS}/a/log?tailLines=5&follow=true"))
        .await;
    assert_eq!(
        (
            log.text.as_str(),
            log.headers["content-type"].to_str().unwrap()
        ),
        (
            "/containerLogs/default/a/c?follow=true&tailLines=5\n",
            "text/plain"
        )
    );
    api.get(&format!("{PODS}/broken/log")).await.refused(
        400,
        "container \"c\" in pod \"broken\" is waiting to start: ContainerCreating",
    );
    api.get(&format!("{PODS}/a/log?container=x"))
        .await
        .refused(400, "container x is not valid for pod a");
    assert_eq!(
        api.get(&format!("{PODS}/a/log?tailLines=-1")).await.code,
        422
    );
    api.ok("POST", PODS, pod("new")).await;
    let nothing = api.get(&format!("{PODS}/new/log")).await;
    assert_eq!((nothing.code.as_u16(), nothing.text.as_str()), (204, ""));
    let metrics = api.get("/api/v1/nodes/n1/proxy/metrics/cadvisor?x=1").await;
    assert_eq!(metrics.text, "/metrics/cadvisor?x=1\n");
    assert!(api.tasks.stop(DEADLINE).await);
}

/// The answer to a WebSocket handshake, and the socket where it was accepted.
async fn open_socket(
    addr: SocketAddr,
    pki: &Pki,
    path: &str,
    protocol: Option<&str>,
    clients: &Tasks,
) -> (Response<()>, Option<WebSocketStream<TokioIo<Upgraded>>>) {
    let mut request = get(path);
    let headers = request.headers_mut();
    for (name, value) in [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    if let Some(protocol) = protocol {
        headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
    }
    let io = dial(addr, pki.client("admin", &["system:masters"])).await;
    let mut answer = connect::send(io, request, clients).await.unwrap();
    let upgrades = answer.status() == 101;
    let upgraded = hyper::upgrade::on(&mut answer);
    let mut socket = None;
    if upgrades {
        let io = TokioIo::new(upgraded.await.unwrap());
        socket = Some(WebSocketStream::from_raw_socket(io, Role::Client, None).await);
    }
    (answer.map(|_| ()), socket)
}

#[tokio::test]
async fn logs_come_through_websockets_too() {
    let (api, pki, addr) = cluster().await;
    let clients = Tasks::root("clients");
    let path = format!("{PODS}/a/log");
    let asked = "/containerLogs/default/a/c\n";
    let raw = Message::binary(asked);
    let encoded = Message::text("L2NvbnRhaW5lckxvZ3MvZGVmYXVsdC9hL2MK");
    for (protocol, empty, expected) in [
        (None, Message::binary(""), &raw),
        (Some("binary.k8s.io"), Message::binary(""), &raw),
        (Some("base64.binary.k8s.io"), Message::text(""), &encoded),
    ] {
        let (answer, socket) = open_socket(addr, &pki, &path, protocol, &clients).await;
        let agreed = answer.headers().get("sec-websocket-protocol");
        assert_eq!(agreed.map(|value| value.to_str().unwrap()), protocol);
        let mut socket = socket.unwrap();
        assert_eq!(&socket.next().await.unwrap().unwrap(), &empty);
        assert_eq!(&socket.next().await.unwrap().unwrap(), expected);
        let Message::Close(Some(close)) = socket.next().await.unwrap().unwrap() else {
            panic!("the server closes the session in order");
        };
        assert_eq!(u16::from(close.code), 1000);
    }
    let (answer, _) = open_socket(addr, &pki, &path, Some("x.example.com"), &clients).await;
    assert_eq!(answer.status(), 400);
    let missing = format!("{PODS}/none/log");
    let (answer, _) = open_socket(addr, &pki, &missing, None, &clients).await;
    assert_eq!(answer.status(), 404);
    assert!(api.tasks.stop(DEADLINE).await);
    assert!(clients.stop(DEADLINE).await);
}

#[tokio::test]
async fn what_is_proxied_leads_through_the_proxy_again() {
    let (api, ..) = cluster().await;
    let proxy = "/api/v1/nodes/n1/proxy";
    let page = api.get(&format!("{proxy}/page/")).await;
    let expected = format!("<a href=\"{proxy}/x\">{proxy}/page/</a>");
    assert_eq!(page.text, expected);
    assert!(!page.headers.contains_key("access-control-allow-origin"));
    for method in ["GET", "HEAD"] {
        let redirect = api.call(method, &format!("{proxy}?a=b"), Value::Null).await;
        assert_eq!(redirect.code, 301, "{method}");
        assert_eq!(redirect.headers["location"], format!("{proxy}/?a=b"));
    }
    for method in ["DELETE", "OPTIONS", "PATCH", "POST", "PUT"] {
        let answer = api.call(method, &format!("{proxy}?a=b"), Value::Null).await;
        assert_eq!(answer.text, format!("{method} /?a=b\n"));
    }
    let options = api.call_as(user("jane"), "OPTIONS", proxy, Value::Null);
    assert_eq!(options.await.code, 403);
    assert!(api.tasks.stop(DEADLINE).await);
}

#[tokio::test]
async fn proxied_services_lead_to_pods_only() {
    let (api, ..) = cluster().await;
    let service =
        |name: &str, port: Value| json!({"metadata": {"name": name}, "spec": {"ports": [port]}});
    let services = "/api/v1/namespaces/default/services";
    api.ok(
        "POST",
        services,
        service("s", json!({"name": "web", "port": 80})),
    )
    .await;
    let slice = json!({"metadata": {"name": "s-1", "labels": {"kubernetes.io/service-name": "s"}},
        "addressType": "IPv4", "ports": [{"name": "web", "port": 80}], "endpoints": [
            {"addresses": ["10.42.0.9"], "targetRef": {"kind": "Pod", "namespace": "default", "name": "a"}},
            {"addresses": ["10.42.0.8"]}]});
    api.ok(
        "POST",
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
        slice,
    )
    .await;
    let proxy = |name: &str| format!("{services}/{name}/proxy/");
    for (name, message) in [
        ("s:web", "no endpoints available for service \"s:web\""),
        ("s:81", "no service port 81 found for service \"s\""),
    ] {
        api.get(&proxy(name)).await.refused(503, message);
    }
    for (pod_ip, code) in [("::ffff:127.0.0.1", 422), ("127.0.0.1", 200)] {
        let status = json!({"status": {"podIPs": [{"ip": pod_ip}]}});
        let path = format!("{PODS}/a/status");
        assert_eq!(
            api.call("PATCH", &path, status).await.code,
            code,
            "{pod_ip}"
        );
        if code == 200 {
            let pod = api.get(&format!("{PODS}/https:a:/proxy/")).await;
            pod.refused(400, "address not allowed");
        }
        let slice = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/s-1";
        let endpoints = json!({"endpoints": [{"addresses": [pod_ip]}]});
        assert_eq!(
            api.call("PATCH", slice, endpoints).await.code,
            422,
            "{pod_ip}"
        );
        assert_eq!(api.get(&proxy("s:80")).await.code, 503, "{pod_ip}");
    }
    api.get(&format!("{PODS}/ftp:a:21/proxy/"))
        .await
        .refused(400, "invalid pod request \"ftp:a:21\"");
    assert!(api.tasks.stop(DEADLINE).await);
}

#[tokio::test]
async fn a_node_says_only_where_its_own_kubelet_is() {
    let (api, _, addr) = cluster().await;
    let status = |host: &str, port: u16| {
        json!({"status": {"addresses": [{"type": "InternalIP", "address": host}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}})
    };
    // The authority of kubelets vouches for this server, too, but not as a kubelet.
    let own = status("127.0.0.1", addr.port());
    api.ok("PATCH", "/api/v1/nodes/n1/status", own).await;
    let answer = api.get("/api/v1/nodes/n1/proxy/api/v1/secrets").await;
    answer.refused(
        500,
        "Internal error occurred: error dialing backend: the server at the node's address does not show a \
serving certificate of node \"n1\"",
    );
    for name in ["n2", "kube-apiserver"] {
        let node = json!({"metadata": {"name": name}});
        api.ok("POST", "/api/v1/nodes", node).await;
    }
    for host in [
        "127.0.0.1",
        "::ffff:127.0.0.1",
        "localhost",
        "0.0.0.0",
        "169.254.169.254",
    ] {
        let path = "/api/v1/nodes/n2/status";
        api.ok("PATCH", path, status(host, addr.port())).await;
        let answer = api.get("/api/v1/nodes/n2/proxy/metrics").await;
        assert!(
            answer.message().ends_with("address not allowed"),
            "{host}: {}",
            answer.text
        );
    }
    assert!(api.tasks.stop(DEADLINE).await);
}

#[tokio::test]
async fn what_leaves_http_at_a_kubelet_needs_create() {
    let (api, ..) = cluster().await;
    let allow = async |verbs: Value| {
        let role = json!({"metadata": {"name": "proxy"}, "rules": [
            {"apiGroups": [""], "resources": ["nodes/proxy"], "verbs": verbs}]});
        let path = format!("{RBAC}/clusterroles/proxy");
        api.ok("PUT", &path, role).await;
    };
    let ask = async |upgrade: bool| {
        let path = "/api/v1/nodes/n1/proxy/exec/default/a/c?command=id&output=1";
        let mut request = get(path);
        if upgrade {
            let headers = request.headers_mut();
            headers.insert("connection", "keep-alive, Upgrade".parse().unwrap());
            headers.insert("upgrade", "websocket".parse().unwrap());
        }
        let answer = api.raw(request, Some(user("nora"))).await;
        answer.status().as_u16()
    };
    let binding = json!({"metadata": {"name": "proxy"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "nora"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "proxy"}});
    let role = json!({"metadata": {"name": "proxy"}});
    api.ok("POST", &format!("{RBAC}/clusterroles"), role).await;
    let path = format!("{RBAC}/clusterrolebindings");
    api.ok("POST", &path, binding).await;
    allow(json!(["get"])).await;
    api.eventually("nora may get", || async { ask(false).await == 200 })
        .await;
    assert_eq!(ask(true).await, 403, "get alone is not enough");
    allow(json!(["create"])).await;
    api.eventually("nora may not get", || async { ask(false).await == 403 })
        .await;
    assert_eq!(ask(true).await, 403, "create alone is not enough");
    allow(json!(["get", "create"])).await;
    // In process nothing can be upgraded; what counts is that the kubelet was asked.
    api.eventually("nora may do both", || async { ask(true).await != 403 })
        .await;
    assert!(api.tasks.stop(DEADLINE).await);
}

#[tokio::test]
async fn exec_is_copied_both_ways_and_ends_with_the_server() {
    let (api, pki, addr) = cluster().await;
    let io = dial(addr, pki.client("admin", &["system:masters"])).await;
    let mut request = get(&format!(
        "{PODS}/a/exec?command=sh&command=-c&stdin=true&stdout=true&tty=true"
    ));
    request
        .headers_mut()
        .insert("connection", "Upgrade".parse().unwrap());
    request
        .headers_mut()
        .insert("upgrade", "websocket".parse().unwrap());
    let clients = Tasks::root("clients");
    let mut answer = connect::send(io, request, &clients).await.unwrap();
    assert_eq!(answer.status(), 101);
    let mut io = TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap());
    let want = "/exec/default/a/c?input=1&output=1&tty=1&command=sh&command=-c\n";
    let mut got = vec![0; want.len()];
    io.read_exact(&mut got).await.unwrap();
    assert_eq!(String::from_utf8(got).unwrap(), want);
    io.write_all(b"echo").await.unwrap();
    let mut back = [0; 4];
    io.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"echo");
    // The session is still open: stopping closes it in time.
    assert!(api.tasks.stop(DEADLINE).await);
    assert_eq!(io.read(&mut back).await.unwrap_or(0), 0);
    assert!(clients.stop(DEADLINE).await);
}

#[tokio::test]
async fn exec_needs_an_upgrade_and_a_command() {
    let (api, ..) = cluster().await;
    api.get(&format!("{PODS}/a/exec?command=sh&stdout=1"))
        .await
        .refused(400, "Upgrade request required");
    let mut request = get(&format!("{PODS}/a/exec?command=sh"));
    request
        .headers_mut()
        .insert("connection", "Upgrade".parse().unwrap());
    request
        .headers_mut()
        .insert("upgrade", "websocket".parse().unwrap());
    let answer = api.send(request, Some(crate::harness::admin())).await;
    answer.refused(400, "you must specify at least 1 of stdin, stdout, stderr");
}

#[tokio::test]
async fn a_stop_ends_watches_over_tls() {
    let (api, pki, addr) = cluster().await;
    let clients = Tasks::root("clients");
    let io = dial(addr, pki.client("admin", &["system:masters"])).await;
    let answer = connect::send(io, get(&format!("{MAPS}?watch=true")), &clients)
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    api.ok("POST", MAPS, map("a", "1")).await;
    assert!(api.tasks.stop(DEADLINE).await);
    let text = body::read(answer.into_body(), 1 << 20)
        .await
        .expect("the stream ends in order");
    let first: Value = serde_json::from_slice(text.split(|b| *b == b'\n').next().unwrap()).unwrap();
    assert_eq!(
        (&first["type"], &first["object"]["metadata"]["name"]),
        (&json!("ADDED"), &json!("a"))
    );
    assert!(clients.stop(DEADLINE).await);
}
