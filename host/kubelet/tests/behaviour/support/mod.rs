//! A kubelet between an API server and a runtime that both live in memory.

pub mod cri;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;
use k3s_base::{Clock, Secret};
use k3s_client::fake::FakeApi;
use k3s_client::{Body, Client, full, resources};
use k3s_kubelet::{Kubelet, KubeletConfig};
use k3s_lifecycle::Tasks;
use k3s_meta::user::UserInfo;
use serde_json::{Value, json};

use cri::FakeCri;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The fake API, with reviews answered: the token `good` may do everything.
#[derive(Clone)]
struct Reviewing(FakeApi);

impl tower::Service<Request<Body>> for Reviewing {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut inner = self.0.clone();
        async move {
            let path = request.uri().path().to_owned();
            if path.ends_with("/token") {
                let answer = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                    "metadata": {}, "status": {"token": "jwt", "expirationTimestamp": "2099-01-01T00:00:00Z"}});
                return Ok(Response::new(full(answer.to_string())));
            }
            if !path.ends_with("reviews") {
                return inner.call(request).await;
            }
            let bytes = request.into_body().collect().await.unwrap().to_bytes();
            let mut review: Value = serde_json::from_slice(&bytes).unwrap();
            let good = review["spec"]["token"] == "good";
            review["metadata"] = json!({});
            review["status"] = if path.ends_with("tokenreviews") {
                json!({"authenticated": good, "user": {"username": "somebody", "groups": ["g"]}})
            } else {
                json!({"allowed": review["spec"]["user"] == "somebody" && review["spec"]["resourceAttributes"]["subresource"] != "stats"})
            };
            Ok(Response::new(full(review.to_string())))
        }
        .boxed()
    }
}

/// One kubelet and its surroundings; everything on disk goes when it is dropped.
pub struct Bench {
    pub api: FakeApi,
    pub cri: FakeCri,
    pub dir: PathBuf,
    pub ca_pem: String,
    config: KubeletConfig,
    tasks: Tasks,
    pub port: u16,
}

impl Bench {
    pub async fn start() -> Self {
        let name = format!(
            "k3s-kubelet-test-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::SeqCst)
        );
        let dir = std::env::temp_dir().join(&name);
        // A run that was killed may have had the same process id.
        let _ = k3s_sys::mount::detach_below(&dir);
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let cri = FakeCri::serve(&dir.join("cri.sock"));
        let api = FakeApi::new(Clock::system());
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let ca_pem = certified.cert.pem();
        let mut config = KubeletConfig::new("node1", "v1.36.0+k3s1");
        config.root_dir = dir.join("kubelet");
        config.pod_manifests = Some(dir.join("manifests"));
        config.pod_log_dir = dir.join("pods");
        config.container_log_dir = dir.join("containers");
        config.listen = "127.0.0.1:0".parse().unwrap();
        config.node_ips = vec!["192.0.2.10".parse().unwrap()];
        config.serving_cert_pem = ca_pem.clone().into_bytes();
        config.serving_key_pem = Secret::new(certified.signing_key.serialize_pem().into_bytes());
        config.client_ca_pem = ca_pem.clone().into_bytes();
        config.control_plane = true;
        config.cgroup_root = format!("/{name}");
        std::fs::write(dir.join("resolv.conf"), "nameserver 192.0.2.1\n").unwrap();
        config.resolv_conf = dir.join("resolv.conf");
        // The disk under the tests may be nearly full.
        config
            .eviction
            .set_hard("memory.available<1Mi,nodefs.available<1Mi")
            .unwrap();
        config.image_gc_high_percent = 100;
        let mut bench = Self {
            api,
            cri,
            dir,
            ca_pem,
            config,
            tasks: Tasks::root("unstarted"),
            port: 0,
        };
        bench.launch().await;
        bench
    }

    async fn launch(&mut self) {
        self.tasks = Tasks::root("test");
        let user = UserInfo {
            name: "system:node:node1".to_owned(),
            ..UserInfo::default()
        };
        let client = Client::in_process(Reviewing(self.api.clone()), user);
        let endpoint = self.dir.join("cri.sock").to_string_lossy().into_owned();
        let kubelet = Kubelet::start(self.config.clone(), client, None, &endpoint, &self.tasks)
            .await
            .unwrap();
        self.port = kubelet.address().port();
    }

    /// Stops this kubelet and starts another over the same API and runtime.
    pub async fn restart(&mut self) {
        assert!(
            self.tasks.stop(Duration::from_secs(10)).await,
            "the kubelet stops by itself"
        );
        self.launch().await;
    }

    /// Puts a pod on the node, bound already.
    pub fn pod(&self, name: &str, spec: Value) {
        let mut spec = spec;
        spec["nodeName"] = json!("node1");
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "generation": 1},
            "spec": spec, "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]}});
        self.api.seed(&resources::PODS, pod);
    }

    pub fn get(&self, name: &str) -> Option<Value> {
        self.api.get(&resources::PODS, "default", name)
    }

    /// Waits for the pod to satisfy `condition`; shows it when it never did.
    pub async fn pod_until(
        &self,
        name: &str,
        what: &str,
        condition: impl Fn(&Value) -> bool,
    ) -> Value {
        let met = self
            .api
            .eventually(|_| self.get(name).is_some_and(|p| condition(&p)))
            .await;
        let pod = self.get(name).unwrap_or(Value::Null);
        assert!(
            met,
            "{what} never came true: {}\ncalls: {:?}",
            serde_json::to_string_pretty(&pod["status"]).unwrap(),
            self.cri.calls()
        );
        pod
    }

    pub async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        assert!(
            self.api.eventually(|_| condition()).await,
            "{what} never came true; calls: {:?}",
            self.cri.calls()
        );
    }

    /// Asks for deletion as a user does: the object stays until the node is done.
    pub fn delete(&self, name: &str) {
        self.api.change(&resources::PODS, "default", name, |pod| {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            pod["metadata"]["deletionGracePeriodSeconds"] = json!(30);
        });
    }

    /// Asks for a resize as a user does.
    pub fn resize(&self, name: &str, resources: &Value) {
        self.api.change(&resources::PODS, "default", name, |pod| {
            let generation = pod["metadata"]["generation"].as_i64().unwrap();
            pod["metadata"]["generation"] = json!(generation + 1);
            pod["spec"]["containers"][0]["resources"] = resources.clone();
        });
    }

    /// What bounds the pod's cgroup: CPU quota and memory.
    pub fn pod_bounds(&self, name: &str, class: &str) -> [String; 2] {
        let pod = self.get(name).unwrap();
        let uid = pod["metadata"]["uid"].as_str().unwrap();
        let path = format!("{}/kubepods{class}/pod{uid}", self.config.cgroup_root);
        let root = PathBuf::from("/sys/fs/cgroup");
        let files = if root.join("cgroup.controllers").exists() {
            [format!("{path}/cpu.max"), format!("{path}/memory.max")]
        } else {
            [
                format!("cpu{path}/cpu.cfs_quota_us"),
                format!("memory{path}/memory.limit_in_bytes"),
            ]
        };
        files.map(|file| {
            let text = std::fs::read_to_string(root.join(file.trim_start_matches('/'))).unwrap();
            text.split_whitespace().next().unwrap().to_owned()
        })
    }

    /// Events of that reason.
    pub fn events(&self, reason: &str) -> Vec<String> {
        let all = self
            .api
            .all(&resources::EVENTS)
            .into_iter()
            .chain(self.api.all(&resources::EVENTS_V1));
        all.filter(|e| e["reason"] == reason)
            .map(|e| {
                e["message"]
                    .as_str()
                    .or(e["note"].as_str())
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect()
    }

    /// GETs a path of the kubelet's server.
    pub async fn http(&self, path: &str, token: Option<&str>) -> (u16, String) {
        let mut roots = rustls::RootCertStore::empty();
        use rustls::pki_types::pem::PemObject;
        roots
            .add(rustls::pki_types::CertificateDer::from_pem_slice(self.ca_pem.as_bytes()).unwrap())
            .unwrap();
        let config = rustls::ClientConfig::builder_with_provider(
            rustls::crypto::ring::default_provider().into(),
        )
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port))
            .await
            .unwrap();
        let io = k3s_serve::connect::tls(
            Box::new(stream),
            "localhost".try_into().unwrap(),
            config.into(),
        )
        .await
        .unwrap();
        let mut request = Request::get(path).header("Host", "localhost");
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let answer = k3s_serve::connect::send(
            io,
            request.body(k3s_serve::body::empty()).unwrap(),
            &self.tasks,
        )
        .await
        .unwrap();
        let code = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (code, String::from_utf8_lossy(&body).into_owned())
    }

    /// The kubelet's directory of a pod.
    pub fn pod_dir(&self, name: &str) -> PathBuf {
        let uid = self.get(name).unwrap()["metadata"]["uid"]
            .as_str()
            .unwrap()
            .to_owned();
        self.dir.join("kubelet/pods").join(uid)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A kubelet that still runs mounts again what is detached here.
        let stop = self.tasks.stop(Duration::from_secs(10));
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(stop));
        let _ = k3s_sys::mount::detach_below(&self.dir);
        let removed = std::fs::remove_dir_all(&self.dir);
        assert!(
            removed.is_ok() || std::thread::panicking(),
            "{}: {removed:?}",
            self.dir.display()
        );
        for entry in std::fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten()
        {
            remove_cgroup(
                &entry
                    .path()
                    .join(self.config.cgroup_root.trim_start_matches('/')),
            );
        }
        remove_cgroup(&PathBuf::from(format!(
            "/sys/fs/cgroup{}",
            self.config.cgroup_root
        )));
    }
}

fn remove_cgroup(dir: &std::path::Path) {
    for entry in std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|e| e.path().is_dir())
    {
        remove_cgroup(&entry.path());
    }
    let _ = std::fs::remove_dir(dir);
}
