//! A data plane on loopback with a compiler whose decisions the test writes, and servers behind it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use k3s_base::{Clock, Random};
use k3s_client::fake::FakeApi;
use k3s_client::resources;
use k3s_ingress::model::{
    Backend, Change, Interest, Matcher, Middleware, ObjectKey, Outcome, Reference, Route, Scheme,
    Target, TcpRoute, TlsUse,
};
use k3s_ingress::{
    Batch, Compiled, Compiler, CompilerError, ConnectionLimits, EntryPoint, Ingress, IngressConfig,
};
use k3s_lifecycle::Tasks;
use k3s_observe::Metrics;
use k3s_serve::Capacity;
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Both entry points on free ports of loopback.
pub(crate) fn config(limits: ConnectionLimits) -> IngressConfig {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let entry_point = |name, tls| EntryPoint { name, tls, listen };
    IngressConfig {
        entry_points: vec![entry_point("web", false), entry_point("websecure", true)],
        limits,
        may_dial: |_| true,
        addresses: vec!["192.0.2.10".parse().unwrap()],
        node_name: "node-1".into(),
        clock: Clock::system(),
        random: Random::seeded(7),
    }
}

/// Decides what it is told to.
#[derive(Default)]
pub(crate) struct Scripted {
    next: Mutex<Vec<Change>>,
    wake: Notify,
}

#[async_trait]
impl Compiler for Scripted {
    async fn interests(&self) -> Result<Vec<Interest>, CompilerError> {
        Ok(vec![Interest {
            group: "networking.k8s.io".into(),
            version: "v1".into(),
            plural: "ingresses".into(),
            kind: "Ingress".into(),
            namespaced: true,
            optional: false,
            fields: vec!["spec".into()],
        }])
    }

    async fn compile(&self, _batch: Batch) -> Result<Compiled, CompilerError> {
        Ok(Compiled {
            complete: false,
            changes: std::mem::take(&mut self.next.lock()),
        })
    }

    async fn changed(&self) {
        self.wake.notified().await;
    }
}

pub(crate) struct Lab {
    pub(crate) api: FakeApi,
    _ingress: Ingress,
    pub(crate) tasks: Tasks,
    pub(crate) metrics: Metrics,
    compiler: Arc<Scripted>,
    pub(crate) web: SocketAddr,
    pub(crate) websecure: SocketAddr,
}

impl Lab {
    /// With these routes from the start.
    pub(crate) async fn start(outcome: Outcome, seed: impl FnOnce(&FakeApi)) -> Self {
        let limits = ConnectionLimits {
            capacity: Capacity {
                total: 1000,
                per_client: 1000,
            },
            ..ConnectionLimits::standard()
        };
        Self::start_with(outcome, limits, seed).await
    }

    /// With these routes from the start, and these limits on each entry point.
    pub(crate) async fn start_with(
        outcome: Outcome,
        limits: ConnectionLimits,
        seed: impl FnOnce(&FakeApi),
    ) -> Self {
        let api = FakeApi::new(Clock::system());
        api.seed(
            &resources::INGRESSES,
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "web", "namespace": "shop"}, "spec": {}}),
        );
        seed(&api);
        let compiler = Arc::new(Scripted::default());
        compiler.next.lock().push(Change::Put(outcome));
        let config = config(limits);
        let (tasks, metrics) = (Tasks::root("lab"), Metrics::new());
        let client = api.client("system:serviceaccount:kube-system:traefik");
        let ingress = Ingress::start(config, compiler.clone(), client, &metrics, &tasks)
            .await
            .unwrap();
        tokio::time::timeout(PATIENCE, ingress.ready())
            .await
            .expect("never ready");
        let web = ingress.address("web").await.unwrap();
        let websecure = ingress.address("websecure").await.unwrap();
        Self {
            api,
            _ingress: ingress,
            tasks,
            metrics,
            compiler,
            web,
            websecure,
        }
    }

    /// Changes the routes.
    pub(crate) fn decide(&self, change: Change) {
        self.compiler.next.lock().push(change);
        self.compiler.wake.notify_one();
    }
}

pub(crate) fn key() -> ObjectKey {
    ObjectKey {
        group: "networking.k8s.io".into(),
        kind: "Ingress".into(),
        namespace: "shop".into(),
        name: "web".into(),
    }
}

pub(crate) fn outcome(routes: Vec<Route>) -> Outcome {
    Outcome {
        key: key(),
        routes,
        tcp_routes: Vec::<TcpRoute>::new(),
        certificates: Vec::new(),
        diagnostics: Vec::new(),
        publish_address: true,
    }
}

pub(crate) fn backend(service: &str) -> Backend {
    Backend {
        service: Reference {
            namespace: "shop".into(),
            name: service.into(),
        },
        port: "http".into(),
        port_number: 80,
        external: None,
        scheme: Scheme::Http,
        weight: 1,
        pass_host_header: true,
        sticky: None,
        transport: None,
    }
}

pub(crate) fn route(host: &str, backend: Backend) -> Route {
    Route {
        name: format!("shop/web/{host}"),
        entry_points: Vec::new(),
        rule: vec![Matcher::Host(host.into())],
        priority: 1,
        middlewares: Vec::<Middleware>::new(),
        target: Target {
            backends: vec![backend],
            sticky: None,
        },
        tls: TlsUse::Either,
        tls_options: None,
    }
}

/// An EndpointSlice of a Service.
pub(crate) fn endpoints(api: &FakeApi, service: &str, servers: &[SocketAddr]) {
    // A slice has one set of ports; on loopback every server needs its own.
    for at in 0..8 {
        api.remove(
            &resources::ENDPOINT_SLICES,
            "shop",
            &format!("{service}-{at}"),
        );
    }
    for (at, server) in servers.iter().enumerate() {
        api.seed(&resources::ENDPOINT_SLICES, json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": format!("{service}-{at}"), "namespace": "shop", "labels": {"kubernetes.io/service-name": service}},
            "endpoints": [{"addresses": [server.ip().to_string()], "conditions": {"ready": true}}],
            "ports": [{"name": "http", "port": server.port()}],
        }));
    }
}

/// A server that says its name and what it saw, over HTTP/1.1 or HTTP/2.
pub(crate) async fn server(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(move |request| handle(name, request));
            let builder = auto::Builder::new(TokioExecutor::new());
            tokio::spawn(async move {
                let _ = builder
                    .serve_connection_with_upgrades(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

async fn handle(
    name: &'static str,
    mut request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let full = |text: String| Full::new(Bytes::from(text)).boxed();
    match request.uri().path() {
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(400)).await;
            Ok(Response::new(full(format!("{name} at last"))))
        }
        "/echo" => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Ok(Response::new(Full::new(body).boxed()))
        }
        "/fail" => Ok(Response::builder()
            .status(500)
            .body(full("broken".into()))
            .unwrap()),
        "/upgrade" => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut io = TokioIo::new(upgrade.await.unwrap());
                let (mut reader, mut writer) = tokio::io::split(&mut io);
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
            let builder = Response::builder()
                .status(101)
                .header("connection", "upgrade")
                .header("upgrade", "websocket");
            Ok(builder.body(full(String::new())).unwrap())
        }
        "/grpc" => {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            let frames = [
                Ok(Frame::data(Bytes::from_static(b"message"))),
                Ok(Frame::trailers(trailers)),
            ];
            let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
            Ok(Response::new(BodyExt::boxed(body)))
        }
        _ => {
            let headers: serde_json::Map<String, serde_json::Value> = request
                .headers()
                .iter()
                .map(|(n, v)| (n.to_string(), v.to_str().unwrap_or_default().into()))
                .collect();
            let seen = json!({"server": name, "uri": request.uri().to_string(), "version": format!("{:?}", request.version()), "headers": headers});
            Ok(Response::new(full(seen.to_string())))
        }
    }
}
