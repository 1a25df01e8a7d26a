//! All controllers on the in-memory API server, with scheduler and kubelet played by the test.
#![allow(dead_code, unreachable_pub, reason = "each target uses its part")]

use std::sync::Arc;
use std::time::Duration;

use k3s_base::{Clock, Random};
use k3s_client::fake::FakeApi;
use k3s_client::resources::*;
use k3s_controllers::{Controllers, ControllersConfig};
use k3s_lifecycle::Tasks;
use k3s_pki::ServiceAccountKeys;
use serde_json::{Value, json};

/// All controllers and the server they act on.
pub struct Cluster {
    pub api: FakeApi,
    pub tasks: Tasks,
    pub controllers: Controllers,
}

pub async fn cluster() -> Cluster {
    cluster_at(Clock::system()).await
}

fn keys() -> ServiceAccountKeys {
    let dir = tempfile::tempdir().unwrap();
    ServiceAccountKeys::ensure(dir.path(), "https://kubernetes.default.svc").unwrap()
}

pub async fn cluster_at(clock: Clock) -> Cluster {
    let api = FakeApi::new(Clock::system());
    let tasks = Tasks::root("test");
    let config = ControllersConfig {
        clients: api.factory(),
        clock,
        random: Random::seeded(1),
        cluster_cidrs: vec!["10.42.0.0/16".parse().unwrap()],
        node_cidr_mask: 24,
        node_cidr_mask_v6: 64,
        root_ca_pem: "PEM".into(),
        service_accounts: Arc::new(keys()),
        cloud_node: true,
    };
    let controllers = Controllers::start(config, &tasks);
    let cluster = Cluster {
        api,
        tasks,
        controllers,
    };
    cluster.api.seed(
        &NAMESPACES,
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"},
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
    );
    cluster
}

impl Cluster {
    pub async fn until(&self, what: &str, condition: impl Fn(&FakeApi) -> bool) {
        if !self.api.eventually(condition).await {
            panic!(
                "never came true: {what}\nwrites: {:#?}\nstatus: {:#?}",
                self.api.writes(),
                self.controllers.statuses()
            );
        }
    }

    /// Plays scheduler and kubelet: binds Pods and makes them ready, or lets them end.
    pub fn run_pods(&self, namespace: &str, status: &Value) {
        for pod in self.api.all(&PODS) {
            let name = pod["metadata"]["name"].as_str().unwrap();
            let ended = matches!(
                pod["status"]["phase"].as_str(),
                Some("Running" | "Succeeded" | "Failed")
            );
            if pod["metadata"]["namespace"] == namespace
                && pod["metadata"]["deletionTimestamp"].is_null()
                && !ended
            {
                let ip = format!(
                    "10.42.0.{}",
                    name.bytes().map(u32::from).sum::<u32>() % 250 + 1
                );
                self.api.change(&PODS, namespace, name, |pod| {
                    pod["spec"]["nodeName"] = "node-1".into();
                    pod["status"] = status.clone();
                    pod["status"]["podIP"] = ip.as_str().into();
                    pod["status"]["podIPs"] = json!([{"ip": ip}]);
                });
            }
        }
    }

    /// The kubelet's end of a deletion.
    pub fn reap_pods(&self) {
        for pod in self.api.all(&PODS) {
            let (namespace, name) = (
                pod["metadata"]["namespace"].as_str().unwrap(),
                pod["metadata"]["name"].as_str().unwrap(),
            );
            if !pod["metadata"]["deletionTimestamp"].is_null()
                && pod["metadata"]["finalizers"]
                    .as_array()
                    .is_none_or(Vec::is_empty)
            {
                self.api.remove(&PODS, namespace, name);
            }
        }
    }

    pub async fn live_until(&self, what: &str, condition: impl Fn(&FakeApi) -> bool) {
        for _ in 0..1000 {
            self.run_pods("n", &ready());
            self.reap_pods();
            if condition(&self.api) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!(
            "never came true: {what}\nwrites: {:#?}\nstatus: {:#?}",
            self.api.writes(),
            self.controllers.statuses()
        );
    }
}

pub fn ready() -> Value {
    json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]})
}
