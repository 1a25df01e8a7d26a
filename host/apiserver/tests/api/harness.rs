//! A server per test, and requests to it as any user.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use k3s_apiserver::{
    ApiServer, ApiServerConfig, ApiService, DirectDialer, StaticToken, VersionInfo,
};
use k3s_base::{Clock, Random, Secret};
use k3s_lifecycle::Tasks;
use k3s_meta::UserInfo;
use k3s_meta::user::AssertedUser;
use k3s_observe::Metrics;
use k3s_pki::ServiceAccountKeys;
use k3s_registry::{Registry, View};
use k3s_resources::core::service::ServiceSettings;
use k3s_serve::{Body, body};
use k3s_store::{MemoryBackend, Store, StoreOptions};
use serde_json::{Value, json};
use tower::ServiceExt;

pub const DEADLINE: Duration = Duration::from_secs(20);
pub const PODS: &str = "/api/v1/namespaces/default/pods";
pub const MAPS: &str = "/api/v1/namespaces/default/configmaps";

pub struct Api {
    pub service: ApiService,
    pub store: Store,
    pub tasks: Tasks,
    pub accounts: Arc<ServiceAccountKeys>,
    _keys: tempfile::TempDir,
}

pub struct Answer {
    pub code: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

pub async fn start() -> Api {
    start_on(MemoryBackend::new()).await
}

pub async fn start_on(backend: MemoryBackend) -> Api {
    with_account(restart_on(backend).await).await
}

/// A server that shows this identity to kubelets.
pub async fn start_with(kubelet_tls: Arc<rustls::ClientConfig>) -> Api {
    with_account(serve_on(MemoryBackend::new(), kubelet_tls).await).await
}

async fn with_account(api: Api) -> Api {
    api.ok(
        "POST",
        "/api/v1/namespaces/default/serviceaccounts",
        json!({"metadata": {"name": "default"}}),
    )
    .await;
    api
}

/// A server on a datastore that another one has filled.
pub async fn restart_on(backend: MemoryBackend) -> Api {
    serve_on(backend, client_tls()).await
}

async fn serve_on(backend: MemoryBackend, kubelet_tls: Arc<rustls::ClientConfig>) -> Api {
    let tasks = Tasks::root("test");
    let (clock, random) = (Clock::system(), Random::seeded(7));
    let services = ServiceSettings {
        cidrs: vec!["10.43.0.0/16".parse().unwrap()],
        node_ports: 30000..=32767,
    };
    let resources = k3s_resources::resources(services, &random);
    let options = StoreOptions {
        extract: View::extractor(&resources),
        ..StoreOptions::default()
    };
    let store = Store::open(Arc::new(backend), options, clock.clone(), &tasks)
        .await
        .unwrap();
    let registry = Registry::new(store.clone(), resources, clock, random).unwrap();
    let keys = tempfile::tempdir().unwrap();
    let issuer = "https://kubernetes.default.svc.cluster.local";
    let accounts = Arc::new(ServiceAccountKeys::ensure(keys.path(), issuer).unwrap());
    let config = ApiServerConfig {
        registry,
        tasks: tasks.clone(),
        metrics: Metrics::new(),
        version: VersionInfo {
            git_version: "v1.36.0+k3s1".into(),
            git_commit: "abc".into(),
            build_date: "2026-01-01T00:00:00Z".into(),
        },
        service_accounts: accounts.clone(),
        audiences: vec![issuer.into(), "k3s".into()],
        static_tokens: vec![StaticToken {
            token: Secret::new("fixed-token".into()),
            user: UserInfo::new("fixed", ["team"]),
        }],
        kubelet_dialer: Arc::new(DirectDialer::new("n1")),
        kubelet_tls,
        advertise_address: "192.0.2.1".parse().unwrap(),
        advertise_port: 6443,
        service_address: "10.43.0.1".parse().unwrap(),
        service_cidrs: vec!["10.43.0.0/16".into()],
        without_roles: Vec::new(),
        health_checks: Vec::new(),
    };
    let service = ApiServer::start(config).await.unwrap().service();
    Api {
        service,
        store,
        tasks,
        accounts,
        _keys: keys,
    }
}

fn client_tls() -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Arc::new(
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth(),
    )
}

pub fn admin() -> UserInfo {
    UserInfo::new("admin", ["system:masters"])
}

pub fn user(name: &str) -> UserInfo {
    UserInfo::new(name, Vec::<String>::new())
}

pub fn node(name: &str) -> UserInfo {
    UserInfo::new(format!("system:node:{name}"), ["system:nodes"])
}

pub fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "busybox"}]}})
}

pub fn map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": value}})
}

pub fn request(method: &str, path: &str, body: &Value) -> Request<Body> {
    let bytes = if body.is_null() {
        Vec::new()
    } else {
        serde_json::to_vec(body).unwrap()
    };
    let kind = if method == "PATCH" {
        "application/merge-patch+json"
    } else {
        "application/json"
    };
    Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(body::full(bytes))
        .unwrap()
}

impl Api {
    pub async fn raw(
        &self,
        mut request: Request<Body>,
        user: Option<UserInfo>,
    ) -> http::Response<Body> {
        if let Some(user) = user {
            request.extensions_mut().insert(AssertedUser(user));
        }
        self.service.clone().oneshot(request).await.unwrap()
    }

    pub async fn send(&self, request: Request<Body>, user: Option<UserInfo>) -> Answer {
        let response = self.raw(request, user).await;
        let (parts, body) = response.into_parts();
        let bytes = body::read(body, usize::MAX).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer {
            code: parts.status,
            headers: parts.headers,
            text,
            body,
        }
    }

    pub async fn call_as(&self, user: UserInfo, method: &str, path: &str, body: Value) -> Answer {
        self.send(request(method, path, &body), Some(user)).await
    }

    pub async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call_as(admin(), method, path, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, Value::Null).await
    }

    /// A call that must succeed.
    pub async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.call(method, path, body).await;
        assert!(
            answer.code.is_success(),
            "{method} {path}: {} {}",
            answer.code,
            answer.text
        );
        answer.body
    }

    /// A GET with an Accept header.
    pub async fn accept(&self, path: &str, accept: &str) -> Answer {
        let mut request = request("GET", path, &Value::Null);
        request
            .headers_mut()
            .insert("accept", accept.parse().unwrap());
        self.send(request, Some(admin())).await
    }

    pub async fn watch(&self, path: &str) -> Watch {
        self.watch_as(path, "application/json").await
    }

    pub async fn watch_as(&self, path: &str, accept: &str) -> Watch {
        let mut request = request("GET", path, &Value::Null);
        request
            .headers_mut()
            .insert("accept", accept.parse().unwrap());
        let response = self.raw(request, Some(admin())).await;
        assert_eq!(response.status(), 200, "watch {path}");
        Watch {
            body: response.into_body(),
            buffer: Vec::new(),
        }
    }

    /// Tries until the condition holds: for what follows a write only in a moment.
    pub async fn eventually<F, Fut>(&self, what: &str, mut holds: F)
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = bool>,
    {
        let until = tokio::time::Instant::now() + DEADLINE;
        while !holds().await {
            assert!(
                tokio::time::Instant::now() < until,
                "never came true: {what}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A running watch, read line by line.
pub struct Watch {
    body: Body,
    buffer: Vec<u8>,
}

impl Watch {
    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = tokio::time::timeout(DEADLINE, self.body.frame())
                .await
                .expect("no event in time")?;
            self.buffer
                .extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
    }

    /// Type, name and resource version of the next event.
    pub async fn brief(&mut self) -> (String, String, u64) {
        let event = self.next().await.expect("the watch ended");
        let object = &event["object"];
        let version = object["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or("0")
            .parse()
            .unwrap();
        (
            event["type"].as_str().unwrap().to_owned(),
            object["metadata"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            version,
        )
    }

    /// Type and name of the next event.
    pub async fn seen(&mut self) -> (String, String) {
        let (kind, name, _) = self.brief().await;
        (kind, name)
    }
}

pub fn seen(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

impl Answer {
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or(&self.text)
    }

    pub fn warnings(&self) -> Vec<String> {
        self.headers
            .get_all("warning")
            .iter()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }

    /// Code and message of a refusal.
    #[track_caller]
    pub fn refused(&self, code: u16, message: &str) {
        assert_eq!(
            (self.code.as_u16(), self.message()),
            (code, message),
            "{}",
            self.text
        );
    }
}
