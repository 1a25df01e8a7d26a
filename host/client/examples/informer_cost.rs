//! What a live copy of 10,000 pods costs: our informer beside the reflector of kube's runtime.
//!
//! `cargo run --release -p k3s-client --example informer_cost -- VARIANT COPIES`, where VARIANT is
//! `informer`, `typed` (kube, `Pod`) or `dynamic` (kube, `DynamicObject`) and COPIES the number of
//! components that have a copy of their own. One process per variant, since memory is read from
//! the kernel. The server is a function call that serves pages and events encoded beforehand, so
//! that only the client's work is measured. Prints the resident memory of all copies, and the
//! processor time of one list and of one event.
#![allow(clippy::print_stdout, reason = "it prints its figures")]

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use k3s_base::{Clock, Random};
use k3s_client::resources::PODS;
use k3s_client::{Body, BoxError, Client, Informers, full};
use k3s_lifecycle::Tasks;
use k3s_meta::user::UserInfo;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject};
use kube::runtime::{reflector, watcher};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::service_fn;

const PODS_COUNT: usize = 10_000;
const PAGE: usize = 500;
/// Every pod changes twice.
const EVENTS: usize = 2 * PODS_COUNT;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [variant, copies] = words.as_slice() else {
        bail!("usage: informer_cost VARIANT COPIES")
    };
    // One thread, so that its processor time is the whole.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure(variant, copies.parse()?))
}

async fn measure(variant: &str, copies: usize) -> Result<()> {
    let (release, released) = watch::channel(false);
    let client = serve(released);
    let (memory, start) = (resident_kib()?, processor_time()?);
    let mut live = Vec::new();
    for _ in 0..copies {
        live.push(match variant {
            "informer" => informer(&client),
            "typed" => reflect(Api::<Pod>::all(client.kube().clone()), ()),
            "dynamic" => {
                let resource = PODS.api_resource();
                let api = Api::all_with(client.kube().clone(), &resource);
                reflect::<DynamicObject>(api, resource)
            }
            other => bail!("unknown variant {other:?}"),
        });
        // One after the other, as components start.
        reach(&live, PODS_COUNT).await;
    }
    let listed = processor_time()?;
    release.send_replace(true);
    reach(&live, PODS_COUNT + EVENTS).await;
    let events = processor_time()?.saturating_sub(listed);
    let list = listed.saturating_sub(start) / u32::try_from(copies)?;
    let event = events / u32::try_from(EVENTS * copies)?;
    println!(
        "{variant} x{copies}: {} MiB, list {} ms, event {} ns",
        resident_kib()?.saturating_sub(memory) / 1024,
        list.as_millis(),
        event.as_nanos(),
    );
    Ok(())
}

/// The version at which a copy shows the last pod.
type Version = Box<dyn Fn() -> Option<String>>;

fn informer(client: &Client) -> Version {
    let tasks = Tasks::root("measure");
    let informers = Informers::new(client.clone(), Clock::system(), Random::seeded(1), &tasks);
    let informer = informers.all(&PODS);
    Box::new(move || {
        let pod = informer.get(&format!("default/{}", name(PODS_COUNT - 1)))?;
        Some(pod.resource_version().to_owned())
    })
}

fn reflect<K>(api: Api<K>, kind: K::DynamicType) -> Version
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    K::DynamicType: Clone + Eq + std::hash::Hash + Send + Sync + 'static,
{
    let writer = reflector::store::Writer::new(kind.clone());
    let store = writer.as_reader();
    let events = watcher(api, watcher::Config::default());
    let reflected = reflector(writer, events);
    tokio::spawn(reflected.for_each(|_| std::future::ready(())));
    let last = name(PODS_COUNT - 1);
    let last = reflector::ObjectRef::new_with(&last, kind).within("default");
    Box::new(move || store.get(&last)?.resource_version())
}

async fn reach(live: &[Version], version: usize) {
    let version = version.to_string();
    while !live.iter().all(|copy| copy().as_ref() == Some(&version)) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Pages of the list, and the events once they are released.
fn serve(released: watch::Receiver<bool>) -> Client {
    let pages: Arc<Vec<Bytes>> = Arc::new((0..PODS_COUNT / PAGE).map(page).collect());
    let events: Arc<Vec<Bytes>> = Arc::new((0..EVENTS).map(event).collect());
    let server = service_fn(move |request: Request<Body>| {
        let query = request.uri().query().unwrap_or("");
        let body = if query.contains("watch=true") {
            stream_of(events.clone(), released.clone())
        } else {
            let token = query.split("continue=").nth(1).unwrap_or("0");
            let at: usize = token.parse().unwrap_or(0);
            full(pages.get(at).cloned().unwrap_or_default())
        };
        std::future::ready(Ok::<_, BoxError>(Response::new(body)))
    });
    Client::in_process(server, UserInfo::default())
}

fn stream_of(events: Arc<Vec<Bytes>>, mut released: watch::Receiver<bool>) -> Body {
    let start = async move {
        // The sender lives as long as the measurement.
        let _ = released.wait_for(|released| *released).await;
        stream::iter(0..EVENTS)
    };
    let frames = stream::once(start).flatten();
    let frames = frames.map(move |at| {
        let event = events.get(at).cloned().unwrap_or_default();
        Ok::<_, BoxError>(Frame::data(event))
    });
    BodyExt::boxed(StreamBody::new(frames.chain(stream::pending())))
}

fn page(at: usize) -> Bytes {
    let items: Vec<Value> = (at * PAGE..(at + 1) * PAGE)
        .map(|n| pod(n, n + 1))
        .collect();
    let next = (at + 1) * PAGE;
    let more = (next < PODS_COUNT).then(|| (at + 1).to_string());
    let token = more.unwrap_or_default();
    let metadata = json!({"resourceVersion": PODS_COUNT.to_string(), "continue": token});
    let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items});
    Bytes::from(list.to_string())
}

fn event(at: usize) -> Bytes {
    let object = pod(at % PODS_COUNT, PODS_COUNT + at + 1);
    let event = json!({"type": "MODIFIED", "object": object});
    Bytes::from(format!("{event}\n"))
}

fn name(number: usize) -> String {
    format!("web-6d4cf56db6-{number:05}")
}

const CONDITIONS: [&str; 5] = [
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
];

const TIME: &str = "2026-01-01T00:00:00Z";

/// A pod of a Deployment as it is once it runs.
fn pod(number: usize, version: usize) -> Value {
    json!({
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": metadata(number, version),
        "spec": spec(),
        "status": status(),
    })
}

fn metadata(number: usize, version: usize) -> Value {
    json!({
        "name": name(number), "generateName": "web-6d4cf56db6-", "namespace": "default",
        "uid": format!("8a5f1e5c-0000-4000-8000-{number:012}"), "resourceVersion": version.to_string(),
        "creationTimestamp": TIME, "labels": {"app": "web", "pod-template-hash": "6d4cf56db6"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-6d4cf56db6",
            "uid": "0d9c2b7a-3f3f-4a53-9d35-2a61a4f7a001", "controller": true, "blockOwnerDeletion": true}],
    })
}

fn spec() -> Value {
    let token = json!({"name": "kube-api-access-x7x2p", "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}]}});
    let tolerations = ["not-ready", "unreachable"].map(|state| {
        let key = format!("node.kubernetes.io/{state}");
        json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    });
    json!({
        "volumes": [token], "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst", "serviceAccountName": "default", "serviceAccount": "default",
        "nodeName": "node-1", "securityContext": {}, "schedulerName": "default-scheduler", "priority": 0,
        "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority",
        "containers": [container()], "tolerations": tolerations,
    })
}

fn container() -> Value {
    json!({
        "name": "web", "image": "registry.example.com/team/web:1.2.3",
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "DATABASE_URL", "value": "postgres://db.default.svc:5432/web"}],
        "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
        "volumeMounts": [{"name": "kube-api-access-x7x2p", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080, "scheme": "HTTP"}, "timeoutSeconds": 1,
            "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent",
    })
}

fn status() -> Value {
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": TIME});
    json!({
        "phase": "Running", "hostIP": "192.0.2.10", "podIP": "10.42.0.7", "podIPs": [{"ip": "10.42.0.7"}],
        "startTime": TIME, "qosClass": "Burstable", "conditions": CONDITIONS.map(condition),
        "containerStatuses": [{"name": "web", "ready": true, "started": true, "restartCount": 0,
            "image": "registry.example.com/team/web:1.2.3",
            "imageID": "registry.example.com/team/web@sha256:4b8ffd6e1c3ec0a0ffb5b9f1e1ab0e5a2b4cdd8fba4c5a54f6ad24b0a7a2d5c1",
            "containerID": "containerd://1f0d8b6a4c2e9d7b5a3f1e0c9b8a7d6e5f4c3b2a1908f7e6d5c4b3a291807f6e",
            "state": {"running": {"startedAt": TIME}}, "lastState": {}}],
    })
}

fn resident_kib() -> Result<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kib.context("no VmRSS")?.parse()?)
}

/// Time on a processor since the process started.
fn processor_time() -> Result<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text.split_whitespace().next().context("no figure")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}
