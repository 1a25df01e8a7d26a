//! The bundled ingress component with the data plane it decides for: objects in, answers over sockets
//! out, and replacements while requests run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use k3s_adapters::bundled;
use k3s_adapters::ingress::{IngressOptions, WasmCompiler, open_ingress};
use k3s_base::{Clock, Random};
use k3s_battery::Environment;
use k3s_client::fake::FakeApi;
use k3s_client::resources;
use k3s_ingress::{ConnectionLimits, EntryPoint, Ingress, IngressConfig};
use k3s_lifecycle::Tasks;
use k3s_observe::Metrics;
use k3s_plugin_host::{Host, HostOptions, Policy, Source};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(30);

fn options(config: &str) -> IngressOptions {
    IngressOptions {
        config: config.as_bytes().to_vec(),
        environment: Environment {
            policy: Policy::default(),
            clock: Clock::system(),
            random: Random::seeded(1),
        },
    }
}

/// A server that answers every request of a connection with `text`.
async fn server(text: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}",
                        text.len()
                    );
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn service(api: &FakeApi, name: &str, server: SocketAddr) {
    api.seed(
        &resources::SERVICES,
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"ports": [{"name": "http", "port": 80}]}}),
    );
    api.seed(
        &resources::ENDPOINT_SLICES,
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{name}-x"), "namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
        "endpoints": [{"addresses": [server.ip().to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "http", "port": server.port()}]}),
    );
}

fn ingress(api: &FakeApi, name: &str, path: &str, service: &str) -> Value {
    api.seed(&resources::INGRESSES, json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"ingressClassName": "traefik", "rules": [{"host": "a.b", "http": {"paths": [{"path": path, "pathType": "Prefix",
            "backend": {"service": {"name": service, "port": {"number": 80}}}}]}}]}}))
}

async fn start(api: &FakeApi, compiler: Arc<WasmCompiler>, tasks: &Tasks) -> SocketAddr {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = IngressConfig {
        entry_points: vec![EntryPoint {
            name: "web",
            tls: false,
            listen,
        }],
        limits: ConnectionLimits::standard(),
        may_dial: |_| true,
        addresses: vec!["192.0.2.10".parse().unwrap()],
        node_name: "node-1".into(),
        clock: Clock::system(),
        random: Random::seeded(1),
    };
    let running = Ingress::start(
        config,
        compiler,
        api.client("traefik"),
        &Metrics::new(),
        tasks,
    )
    .await
    .unwrap();
    tokio::time::timeout(PATIENCE, running.ready())
        .await
        .expect("never ready");
    running.address("web").await.unwrap()
}

/// One request on an open connection.
async fn ask(stream: &mut TcpStream, path: &str) -> String {
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: a.b\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut buffer = [0; 4096];
    let count = stream.read(&mut buffer).await.unwrap();
    String::from_utf8_lossy(&buffer[..count]).into_owned()
}

async fn answers(to: SocketAddr, path: &str, part: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask(&mut TcpStream::connect(to).await.unwrap(), path).await;
        if answer.contains(part) {
            return;
        }
        assert!(Instant::now() < deadline, "{path}: still {answer}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_component_is_replaced_under_load_without_a_failed_request() {
    let host = Host::new(HostOptions::default()).unwrap();
    let component = bundled::find("ingress", "traefik").unwrap();
    let compiler = Arc::new(open_ingress(&host, component.source(), options("")).unwrap());
    let (api, tasks) = (FakeApi::new(Clock::system()), Tasks::root("lab"));
    service(&api, "web", server("from web").await);
    service(&api, "other", server("from other").await);
    api.seed(
        &resources::INGRESS_CLASSES,
        k3s_ingress::objects().remove(0),
    );
    ingress(&api, "web", "/", "web");
    let to = start(&api, compiler.clone(), &tasks).await;
    answers(to, "/x", "from web").await;

    let (stop, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let (stopped, counted) = (stop.clone(), done.clone());
    let load = tokio::spawn(async move {
        let mut stream = TcpStream::connect(to).await.unwrap();
        while !stopped.load(Ordering::Relaxed) {
            let answer = ask(&mut stream, "/x").await;
            assert!(
                answer.starts_with("HTTP/1.1 200") && answer.contains("from web"),
                "{answer}"
            );
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    for turn in 0..3 {
        let before = done.load(Ordering::Relaxed);
        compiler
            .battery()
            .swap(&host, component.source(), b"{}".to_vec())
            .await
            .unwrap();
        // The new one decides on what comes after it.
        ingress(
            &api,
            &format!("later{turn}"),
            &format!("/later{turn}"),
            "other",
        );
        answers(to, &format!("/later{turn}"), "from other").await;
        assert!(
            done.load(Ordering::Relaxed) > before,
            "requests stood still"
        );
    }
    // What cannot do the work never takes over.
    let datastore = bundled::find("datastore", "sqlite").unwrap();
    let refused = compiler
        .battery()
        .swap(&host, datastore.source(), Vec::new())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("not a ingress plugin") || refused.contains("ingress"),
        "{refused}"
    );
    let refused = compiler
        .battery()
        .swap(
            &host,
            component.source(),
            br#"{"dashboard": true}"#.to_vec(),
        )
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("dashboard"), "{refused}");
    let broken = Source {
        name: "broken",
        bytes: b"not wasm",
        digest: None,
        compiled: None,
    };
    assert!(
        compiler
            .battery()
            .swap(&host, broken, Vec::new())
            .await
            .is_err()
    );
    ingress(&api, "last", "/last", "other");
    answers(to, "/last", "from other").await;
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap();
    assert_eq!(compiler.battery().status().failures, 0);
    assert!(tasks.stop(Duration::from_secs(10)).await);
}
