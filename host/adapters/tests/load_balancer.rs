//! The bundled load balancer against an API server in memory: what is written to Services, what
//! nodes forward, and that a plugin's failure or replacement is not seen by anybody.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k3s_adapters::bundled;
use k3s_adapters::load_balancer::{LoadBalancer, LoadBalancerOptions, open_load_balancer};
use k3s_base::{Clock, Random};
use k3s_battery::Environment;
use k3s_client::Informers;
use k3s_client::fake::FakeApi;
use k3s_client::resources::{ENDPOINT_SLICES, EVENTS, NODES, PODS, SERVICES};
use k3s_lifecycle::Tasks;
use k3s_plugin_host::{Host, HostOptions, Policy, Source};
use k3s_servicelb::{NodeForwards, ServeLoadBalancers, release, serve};
use serde_json::{Value, json};

const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";

/// What nodes forward: (node, service) → addresses.
#[derive(Clone, Default)]
struct RecordedForwards(Arc<Mutex<Addresses>>);

type Addresses = BTreeMap<(String, String), Vec<IpAddr>>;

impl NodeForwards for RecordedForwards {
    fn set(&self, node: &str, service: &str, addresses: &[IpAddr]) {
        let key = (node.to_owned(), service.to_owned());
        let mut forwards = self.0.lock().unwrap();
        if addresses.is_empty() {
            forwards.remove(&key)
        } else {
            forwards.insert(key, addresses.to_vec())
        };
    }
}

impl RecordedForwards {
    fn nodes(&self, service: &str) -> Vec<String> {
        let forwards = self.0.lock().unwrap();
        forwards
            .keys()
            .filter(|(_, s)| s == service)
            .map(|(node, _)| node.clone())
            .collect()
    }
}

struct Lab {
    api: FakeApi,
    forwards: RecordedForwards,
    host: Host,
    balancer: Arc<LoadBalancer>,
    tasks: Tasks,
}

fn options(config: &Value) -> LoadBalancerOptions {
    LoadBalancerOptions {
        config: config.to_string().into_bytes(),
        environment: Environment {
            policy: Policy::default(),
            clock: Clock::system(),
            random: Random::seeded(1),
        },
    }
}

impl Lab {
    fn start(config: &Value) -> Self {
        let api = FakeApi::new(Clock::system());
        let host = Host::new(HostOptions::default()).unwrap();
        let balancer = open_load_balancer(
            &host,
            bundled::find("load-balancer", "klipper").unwrap().source(),
            options(config),
        )
        .unwrap();
        let lab = Self {
            api,
            forwards: RecordedForwards::default(),
            host,
            balancer: Arc::new(balancer),
            tasks: Tasks::root("lab"),
        };
        let client = lab.api.client("k3s-cloud-controller-manager");
        let config = ServeLoadBalancers {
            balancer: lab.balancer.clone(),
            informers: Informers::new(
                client.clone(),
                Clock::system(),
                Random::seeded(2),
                &lab.tasks,
            ),
            client,
            forwards: Arc::new(lab.forwards.clone()),
            clock: Clock::system(),
            random: Random::seeded(3),
        };
        serve(config, &lab.tasks);
        lab
    }

    fn node(&self, name: &str, internal: &str, labels: Value) {
        let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
            "status": {"conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": internal}]}});
        self.api.seed(&NODES, object);
    }

    fn service(&self, name: &str, port: u16, more: Value) {
        let mut spec = json!({"type": "LoadBalancer", "ipFamilies": ["IPv4"], "ports": [{"protocol": "TCP", "port": port}]});
        spec.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let object = json!({"apiVersion": "v1", "kind": "Service", "spec": spec, "status": {"loadBalancer": {}},
            "metadata": {"name": name, "namespace": "default"}});
        self.api.seed(&SERVICES, object);
    }

    fn get(&self, name: &str) -> Value {
        self.api.get(&SERVICES, "default", name).unwrap_or_default()
    }

    async fn shows(&self, name: &str, addresses: &[&str]) {
        let all = |api: &FakeApi| shown(&api.get(&SERVICES, "default", name).unwrap_or_default());
        let came = self.api.eventually(|api| all(api) == addresses).await;
        assert!(
            came,
            "{name} never showed {addresses:?}: {}",
            self.get(name)
        );
    }

    async fn stop(self) {
        assert!(
            self.tasks.stop(Duration::from_secs(10)).await,
            "tasks were left"
        );
    }
}

fn shown(service: &Value) -> Vec<String> {
    let list = service["status"]["loadBalancer"]["ingress"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    list.iter()
        .map(|entry| entry["ip"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn has_finalizer(service: &Value) -> bool {
    service["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|list| list.iter().any(|f| f == FINALIZER))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_gets_the_addresses_of_nodes_and_gives_them_back() {
    let lab = Lab::start(&json!({}));
    lab.node("n1", "192.0.2.1", json!({}));
    lab.node("n2", "192.0.2.2", json!({}));
    lab.service("web", 80, json!({}));
    lab.shows("web", &["192.0.2.1", "192.0.2.2"]).await;
    let web = lab.get("web");
    assert!(has_finalizer(&web));
    assert_eq!(web["status"]["loadBalancer"]["ingress"][0]["ipMode"], "VIP");
    assert_eq!(lab.forwards.nodes("default/web"), ["n1", "n2"]);

    // Nothing more is written, whatever nodes say about themselves.
    assert!(lab.api.settles(Duration::from_millis(100)).await);
    let writes = lab.api.writes().len();
    lab.api.change(&NODES, "", "n1", |node| {
        node["status"]["nodeInfo"] = json!({"bootID": "b"})
    });
    assert!(lab.api.settles(Duration::from_millis(100)).await);
    assert_eq!(lab.api.writes().len(), writes);

    lab.api.change(&NODES, "", "n2", |node| {
        node["status"]["conditions"][0]["status"] = "Unknown".into()
    });
    lab.shows("web", &["192.0.2.1"]).await;
    assert_eq!(lab.forwards.nodes("default/web"), ["n1"]);

    // Somebody else's write is put right.
    lab.api.change(&SERVICES, "default", "web", |web| {
        web["status"] = json!({"loadBalancer": {}})
    });
    lab.shows("web", &["192.0.2.1"]).await;

    lab.api.change(&SERVICES, "default", "web", |web| {
        web["spec"]["type"] = "ClusterIP".into()
    });
    lab.shows("web", &[]).await;
    assert!(
        lab.api
            .eventually(|_| !has_finalizer(&lab.get("web")))
            .await
    );
    assert!(lab.forwards.nodes("default/web").is_empty());
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_waits_for_the_cleanup() {
    let lab = Lab::start(&json!({}));
    lab.node("n1", "192.0.2.1", json!({}));
    lab.service("web", 80, json!({}));
    lab.shows("web", &["192.0.2.1"]).await;
    let client = lab.api.client("somebody");
    client
        .delete(
            &SERVICES,
            Some("default"),
            "web",
            &k3s_client::DeleteParams::default(),
        )
        .await
        .unwrap();
    assert!(
        lab.api
            .eventually(|api| api.get(&SERVICES, "default", "web").is_none())
            .await
    );
    assert!(
        lab.api
            .eventually(|_| lab.forwards.nodes("default/web").is_empty())
            .await
    );
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_are_told_and_solved_by_deletion() {
    let lab = Lab::start(
        &json!({"reserved": [{"protocol": "TCP", "port": 6443, "by": "the API server"}]}),
    );
    lab.node("n1", "192.0.2.1", json!({}));
    lab.service("first", 80, json!({}));
    lab.shows("first", &["192.0.2.1"]).await;
    lab.service("second", 80, json!({}));
    lab.service("bold", 6443, json!({}));
    let message = |name: &str| {
        lab.get(name)["status"]["conditions"][0]["message"]
            .as_str()
            .map(str::to_owned)
    };
    assert!(
        lab.api
            .eventually(|_| message("second").is_some() && message("bold").is_some())
            .await
    );
    assert_eq!(
        message("second").unwrap(),
        "port 80/TCP is used by Service default/first on node n1"
    );
    assert_eq!(
        message("bold").unwrap(),
        "port 6443/TCP is used by the API server on node n1"
    );
    assert!(
        shown(&lab.get("second")).is_empty() && lab.forwards.nodes("default/second").is_empty()
    );
    let reasons = |api: &FakeApi| {
        api.all(&EVENTS)
            .iter()
            .filter(|e| e["reason"] == "PortConflict")
            .count()
    };
    assert!(lab.api.eventually(|api| reasons(api) == 2).await);

    lab.api.remove(&SERVICES, "default", "first");
    lab.shows("second", &["192.0.2.1"]).await;
    assert!(lab.api.eventually(|_| message("second").is_none()).await);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_of_a_host_port_and_a_service_has_the_port() {
    let lab = Lab::start(&json!({}));
    lab.node("n1", "192.0.2.1", json!({}));
    lab.node("n2", "192.0.2.2", json!({}));
    let pod = |name: &str, node: &str, created: &str, port: u16| {
        json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Running"},
            "metadata": {"name": name, "namespace": "default", "creationTimestamp": created},
            "spec": {"nodeName": node, "containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": port}]}]}})
    };
    let (before, after) = ("2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z");
    lab.api.seed(&PODS, pod("old", "n1", before, 8080));
    lab.api.seed(&PODS, pod("new", "n2", after, 8080));
    lab.api.seed(&PODS, pod("other", "n2", before, 9090));
    lab.service("web", 8080, json!({}));
    lab.shows("web", &["192.0.2.2"]).await;
    assert_eq!(lab.forwards.nodes("default/web"), ["n2"]);
    let told = |name: &str, text: &str| {
        let events = lab.api.all(&EVENTS);
        let about = |event: &&Value| event["involvedObject"]["name"] == name;
        let mut messages = events.iter().filter(about);
        messages.any(|event| event["message"].as_str().unwrap_or_default().contains(text))
    };
    let both = |_: &FakeApi| {
        told("web", "port 8080/TCP is used by pod default/old on node n1")
            && told("new", "leads to Service default/web")
    };
    assert!(lab.api.eventually(both).await);
    assert!(!told("other", "") && !told("old", ""));
    // When the pod is deleted, the node answers for the Service.
    lab.api.remove(&PODS, "default", "old");
    lab.shows("web", &["192.0.2.1", "192.0.2.2"]).await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_policy_shows_nodes_with_endpoints_and_classes_are_respected() {
    let lab = Lab::start(&json!({}));
    lab.node("n1", "192.0.2.1", json!({}));
    lab.node("n2", "192.0.2.2", json!({}));
    lab.service("local", 80, json!({"externalTrafficPolicy": "Local"}));
    lab.service(
        "foreign",
        81,
        json!({"loadBalancerClass": "example.com/other"}),
    );
    assert!(
        lab.api
            .eventually(|_| has_finalizer(&lab.get("local")))
            .await
    );
    let slice = |ready: bool| {
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "local-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "local"}},
        "endpoints": [{"addresses": ["10.42.1.2"], "nodeName": "n2", "conditions": {"ready": ready}}]})
    };
    lab.api.seed(&ENDPOINT_SLICES, slice(true));
    lab.shows("local", &["192.0.2.2"]).await;
    lab.api.seed(&ENDPOINT_SLICES, slice(false));
    lab.shows("local", &[]).await;
    let foreign = lab.get("foreign");
    assert!(!has_finalizer(&foreign) && shown(&foreign).is_empty());
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_component_takes_over_with_everything_known() {
    let lab = Lab::start(&json!({}));
    lab.node("n1", "192.0.2.1", json!({}));
    lab.service("web", 80, json!({}));
    lab.service("other", 81, json!({}));
    lab.shows("web", &["192.0.2.1"]).await;
    lab.shows("other", &["192.0.2.1"]).await;

    let nonsense = Source {
        name: "nonsense",
        bytes: b"no component",
        digest: None,
        compiled: None,
    };
    assert!(
        lab.balancer
            .battery()
            .swap(&lab.host, nonsense, json!({}).to_string().into_bytes())
            .await
            .is_err()
    );
    let refused = lab
        .balancer
        .battery()
        .swap(
            &lab.host,
            bundled::find("load-balancer", "klipper").unwrap().source(),
            json!({"odd": 1}).to_string().into_bytes(),
        )
        .await;
    assert!(refused.unwrap_err().to_string().contains("odd"));
    assert_eq!(shown(&lab.get("web")), ["192.0.2.1"], "the old one goes on");

    let reserved = json!({"reserved": [{"port": 81, "by": "the operator"}]});
    lab.balancer
        .battery()
        .swap(
            &lab.host,
            bundled::find("load-balancer", "klipper").unwrap().source(),
            reserved.to_string().into_bytes(),
        )
        .await
        .unwrap();
    lab.shows("other", &[]).await;
    assert_eq!(shown(&lab.get("web")), ["192.0.2.1"]);
    lab.service("third", 82, json!({}));
    lab.shows("third", &["192.0.2.1"]).await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_load_balancer_its_traces_are_taken_back() {
    let lab = Lab::start(&json!({}));
    lab.node("n1", "192.0.2.1", json!({}));
    lab.service("web", 80, json!({}));
    lab.shows("web", &["192.0.2.1"]).await;
    let (api, client) = (
        lab.api.clone(),
        lab.api.client("k3s-cloud-controller-manager"),
    );
    lab.stop().await;
    api.change(&SERVICES, "default", "web", |_| {});
    let metallb = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "metallb", "namespace": "default"},
        "spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9", "ipMode": "VIP"}]}}});
    api.seed(&SERVICES, metallb);

    let tasks = Tasks::root("without");
    let informers = Informers::new(client.clone(), Clock::system(), Random::seeded(4), &tasks);
    release(client, &informers, &tasks);
    let get = |name: &str| api.get(&SERVICES, "default", name).unwrap_or_default();
    assert!(
        api.eventually(|_| shown(&get("web")).is_empty() && !has_finalizer(&get("web")))
            .await
    );
    assert_eq!(shown(&get("metallb")), ["203.0.113.9"]);
    assert!(tasks.stop(Duration::from_secs(10)).await);
}
