//! The scheduler's task against an API server in memory: pods that wait get their node as soon as what
//! they wait for happens, without another change in the cluster.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use k3s_base::{Clock, Random};
use k3s_client::fake::FakeApi;
use k3s_client::{Informers, resources};
use k3s_lifecycle::Tasks;
use k3s_scheduler::plugins::default_profile;
use k3s_scheduler::{Scheduler, SchedulerConfig};
use serde_json::{Value, json};

struct Lab {
    api: FakeApi,
    _tasks: Tasks,
}

impl Lab {
    fn start() -> Self {
        let api = FakeApi::new(Clock::system());
        let tasks = Tasks::root("test");
        let client = api.client("system:kube-scheduler");
        let informers = Informers::new(client.clone(), Clock::system(), Random::seeded(1), &tasks);
        let config = SchedulerConfig {
            client,
            informers,
            clock: Clock::system(),
            random: Random::seeded(1),
            profile: default_profile(),
        };
        Scheduler::start(config, &tasks);
        api.seed(
            &resources::NODES,
            json!({"metadata": {"name": "a", "labels": {"zone": "a"}},
                "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110"}}}),
        );
        Self { api, _tasks: tasks }
    }

    fn pod(&self, name: &str, spec: &Value) {
        let mut spec = spec.clone();
        spec["schedulerName"] = "default-scheduler".into();
        let pod = json!({"metadata": {"name": name, "namespace": "n", "labels": {"app": name}}, "spec": spec});
        self.api.seed(&resources::PODS, pod);
    }

    fn get(&self, name: &str) -> Value {
        self.api.get(&resources::PODS, "n", name).unwrap()
    }

    async fn is_bound(&self, name: &str) -> bool {
        let bound = |_: &FakeApi| self.get(name)["spec"]["nodeName"] == "a";
        self.api.eventually(bound).await
    }

    async fn waits(&self, name: &str, reason: &str) -> bool {
        let waits = |_: &FakeApi| self.get(name)["status"]["conditions"][0]["reason"] == reason;
        self.api.eventually(waits).await
    }
}

#[tokio::test]
async fn a_pod_whose_gates_are_removed_is_scheduled() {
    let lab = Lab::start();
    lab.pod(
        "gated",
        &json!({"schedulingGates": [{"name": "example.com/g"}]}),
    );
    assert!(lab.waits("gated", "SchedulingGated").await);
    lab.api.change(&resources::PODS, "n", "gated", |pod| {
        pod["spec"]["schedulingGates"] = json!([]);
    });
    assert!(lab.is_bound("gated").await);
}

#[tokio::test]
async fn a_pod_that_wants_to_be_near_another_follows_it() {
    let lab = Lab::start();
    let near = json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "target"}}, "topologyKey": "zone"}]}}});
    lab.pod("follower", &near);
    assert!(lab.waits("follower", "Unschedulable").await);
    lab.pod("target", &json!({}));
    assert!(lab.is_bound("target").await);
    assert!(lab.is_bound("follower").await);
}

#[tokio::test]
async fn a_pod_that_comes_to_tolerate_a_taint_is_scheduled() {
    let lab = Lab::start();
    lab.api.change(&resources::NODES, "", "a", |node| {
        node["spec"]["taints"] = json!([{"key": "k", "effect": "NoSchedule"}]);
    });
    lab.pod("intolerant", &json!({"nodeSelector": {"zone": "a"}}));
    assert!(lab.waits("intolerant", "Unschedulable").await);
    lab.api.change(&resources::PODS, "n", "intolerant", |pod| {
        pod["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    });
    assert!(lab.is_bound("intolerant").await);
}

#[tokio::test]
async fn a_pod_kept_away_by_the_label_of_a_namespace_follows_its_change() {
    let lab = Lab::start();
    let namespace = json!({"metadata": {"name": "n", "labels": {"team": "x"}}});
    lab.api.seed(&resources::NAMESPACES, namespace);
    let away = json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "holder"}}, "topologyKey": "zone",
            "namespaceSelector": {"matchLabels": {"team": "x"}}}]}}});
    lab.pod("holder", &json!({}));
    assert!(lab.is_bound("holder").await);
    lab.pod("shy", &away);
    assert!(lab.waits("shy", "Unschedulable").await);
    lab.api
        .change(&resources::NAMESPACES, "", "n", |namespace| {
            namespace["metadata"]["labels"]["team"] = "y".into();
        });
    assert!(lab.is_bound("shy").await);
}
