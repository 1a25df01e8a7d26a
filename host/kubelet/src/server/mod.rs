//! HTTPS on 10250: logs, exec, attach, port-forward, statistics. Every request is authenticated and
//! authorized; there is no anonymous or read-only port but healthz on loopback.

mod auth;
mod logs;
mod metrics;
mod query;
mod stats;
mod stream;
mod usage;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use k3s_client::Client;
use k3s_lifecycle::Tasks;
use k3s_serve::{Body, Capacity, Listener, PeerCertificates, ServeOptions, body};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::config::KubeletConfig;
use crate::cri::{Cri, CriError};
use crate::error::{KubeletError, TlsError};
use crate::node::state::NodeState;
use crate::pod::table::PodTable;
use auth::{Authorizer, Refusal};
use query::Query;

/// Open connections to the healthz port; more wait in the kernel's backlog.
const HEALTHZ_CONNECTIONS: usize = 16;

/// What handlers share.
pub(crate) struct Server {
    config: Arc<KubeletConfig>,
    cri: Cri,
    node: Arc<NodeState>,
    pods: Arc<PodTable>,
    /// Prefix of container ids.
    runtime_name: Arc<str>,
    authorizer: Authorizer,
    tasks: Tasks,
}

impl Server {
    /// `client` asks the API about callers.
    pub(crate) fn new(
        config: Arc<KubeletConfig>,
        client: Client,
        cri: Cri,
        node: Arc<NodeState>,
        pods: Arc<PodTable>,
        runtime_name: Arc<str>,
        tasks: Tasks,
    ) -> Self {
        let (clock, name) = (config.clock.clone(), config.node_name.clone());
        Self {
            authorizer: Authorizer::new(client, clock, name),
            config,
            cri,
            node,
            pods,
            runtime_name,
            tasks,
        }
    }

    /// Serves on the listener until the kubelet stops.
    pub(crate) fn start(self, listener: TcpListener, tls: Arc<ServerConfig>) {
        let tasks = self.tasks.clone();
        let server = Arc::new(self);
        let service = tower::service_fn(move |request: Request<Incoming>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(Box::pin(handle(&server, request)).await) }
        });
        let options = ServeOptions::https(Listener::Kubelet, tls);
        k3s_serve::serve(listener, options, service, &tasks);
    }
}

/// Serves `/healthz` without TLS and authentication until the kubelet stops. The address is on
/// loopback; a node runs also when the port is taken.
pub(crate) async fn start_healthz(node: Arc<NodeState>, address: SocketAddr, tasks: &Tasks) {
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, %address, "healthz is not served");
            return;
        }
    };
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let answer = match request.uri().path() {
            "/healthz" | "/healthz/ping" | "/healthz/log" | "/healthz/syncloop" => healthz(&node),
            _ => not_found(),
        };
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let options = ServeOptions {
        capacity: Capacity {
            total: HEALTHZ_CONNECTIONS,
            per_client: HEALTHZ_CONNECTIONS,
        },
        ..ServeOptions::default()
    };
    k3s_serve::serve(listener, options, service, tasks);
}

/// TLS with optional client certificates of the client CA: bearer tokens come without one.
pub(crate) fn tls(config: &KubeletConfig) -> Result<Arc<ServerConfig>, KubeletError> {
    try_tls(config).map_err(KubeletError::Tls)
}

fn try_tls(config: &KubeletConfig) -> Result<Arc<ServerConfig>, TlsError> {
    let roots = client_roots(config)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(TlsError::Verifier)?;
    let chain = certificates(&config.serving_cert_pem).map_err(TlsError::CertificatePem)?;
    let key = PrivateKeyDer::from_pem_slice(config.serving_key_pem.reveal());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Settings)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key.map_err(TlsError::KeyPem)?)
        .map_err(TlsError::Settings)?;
    Ok(Arc::new(tls))
}

fn client_roots(config: &KubeletConfig) -> Result<RootCertStore, TlsError> {
    let authorities = certificates(&config.client_ca_pem);
    let authorities = authorities.map_err(TlsError::ClientCaPem)?;
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        let added = roots.add(authority);
        added.map_err(TlsError::ClientCa)?;
    }
    Ok(roots)
}

/// The certificates in the text, one at least.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?;
    if all.is_empty() {
        return Err(pem::Error::NoItemsFound);
    }
    Ok(all)
}

/// A plain text answer.
pub(crate) fn text(code: StatusCode, message: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(body::full(message.into()));
    *response.status_mut() = code;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn json_answer(value: &Value) -> Response<Body> {
    let mut response = Response::new(body::full(value.to_string()));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn failed(error: &CriError) -> Response<Body> {
    text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

async fn handle(server: &Server, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let peer = request.extensions().get::<PeerCertificates>();
    let peer = peer.cloned();
    let method = request.method();
    let headers = request.headers();
    let allowed = server
        .authorizer
        .check(method, &path, headers, peer.as_ref())
        .await;
    let refusal = match allowed {
        Ok(()) => return route(server, request, &path).await,
        Err(refusal) => refusal,
    };
    match refusal {
        Refusal::Unauthorized => text(StatusCode::UNAUTHORIZED, "Unauthorized"),
        Refusal::Forbidden(message) => text(StatusCode::FORBIDDEN, message),
        Refusal::Unavailable(message) => text(StatusCode::INTERNAL_SERVER_ERROR, message),
    }
}

async fn route(server: &Server, request: Request<Incoming>, path: &str) -> Response<Body> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let query = request.uri().query();
    let query = Query::parse(query.unwrap_or_default());
    if let Some((pod, target)) = stream_target(&parts) {
        return stream::serve(server, request, pod, target, &query).await;
    }
    if request.method() == Method::GET {
        return get(server, &parts, &query).await;
    }
    not_found()
}

/// Namespace and name of the pod, and what to connect to. The UID before the container is optional.
fn stream_target<'a>(parts: &[&'a str]) -> Option<((&'a str, &'a str), stream::Target<'a>)> {
    let (namespace, pod, target) = match *parts {
        ["exec", ns, pod, container] | ["exec", ns, pod, _, container] => {
            let target = stream::Target::Exec { container };
            (ns, pod, target)
        }
        ["attach", ns, pod, container] | ["attach", ns, pod, _, container] => {
            let target = stream::Target::Attach { container };
            (ns, pod, target)
        }
        ["portForward", ns, pod] | ["portForward", ns, pod, _] => {
            let target = stream::Target::PortForward;
            (ns, pod, target)
        }
        _ => return None,
    };
    Some(((namespace, pod), target))
}

/// The endpoints that only read.
async fn get(server: &Server, parts: &[&str], query: &Query) -> Response<Body> {
    match parts {
        ["containerLogs", ns, pod, container] => {
            logs::serve(server, ns, pod, container, query).await
        }
        ["pods"] => {
            let list = stats::pod_list(&server.pods, false);
            json_answer(&list)
        }
        ["runningpods"] => {
            let list = stats::pod_list(&server.pods, true);
            json_answer(&list)
        }
        ["stats", "summary"] | ["stats"] => match stats::summary(server).await {
            Ok(summary) => json_answer(&summary),
            Err(error) => failed(&error),
        },
        ["metrics"] => text(StatusCode::OK, metrics::own(server)),
        ["metrics", "resource"] => {
            let resources = metrics::resource(server).await;
            series(resources)
        }
        ["metrics", "cadvisor"] => {
            let containers = metrics::cadvisor(server).await;
            series(containers)
        }
        ["healthz"] | ["healthz", "ping" | "log" | "syncloop"] => healthz(&server.node),
        ["configz"] => {
            let settings = configz(&server.config);
            json_answer(&settings)
        }
        _ => not_found(),
    }
}

fn not_found() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

fn series(series: Result<String, CriError>) -> Response<Body> {
    match series {
        Ok(series) => text(StatusCode::OK, series),
        Err(error) => failed(&error),
    }
}

fn healthz(node: &NodeState) -> Response<Body> {
    if node.runtime_ready() {
        text(StatusCode::OK, "ok")
    } else {
        text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "container runtime is not ready",
        )
    }
}

/// The settings in force, in the names of `KubeletConfiguration`.
fn configz(config: &KubeletConfig) -> Value {
    let eviction = &config.eviction;
    let transition = eviction.transition.as_secs();
    let dns = config.cluster_dns.iter();
    let dns: Vec<String> = dns.map(ToString::to_string).collect();
    let manifests = config.pod_manifests.as_ref();
    let settings = json!({
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "address": config.listen.ip().to_string(),
        "port": config.listen.port(),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDNS": dns,
        "clusterDomain": config.cluster_domain,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": config.cgroup_root,
        "maxPods": config.max_pods,
        "podPidsLimit": config.pod_pids_limit.unwrap_or(-1),
        "containerLogMaxSize": config.log_max_bytes.to_string(),
        "containerLogMaxFiles": config.log_max_files,
        "imageGCHighThresholdPercent": config.image_gc_high_percent,
        "imageGCLowThresholdPercent": config.image_gc_low_percent,
        "evictionHard": eviction.hard_map(),
        "evictionMinimumReclaim": eviction.minimum_reclaim_map(),
        "evictionPressureTransitionPeriod": format!("{transition}s"),
        "maxParallelImagePulls": config.parallel_pulls,
        "serializeImagePulls": config.parallel_pulls == 1,
        "staticPodPath": manifests.map(|path| path.to_string_lossy()),
        "resolvConf": config.resolv_conf.to_string_lossy(),
        "readOnlyPort": 0,
    });
    json!({"kubeletconfig": settings})
}
