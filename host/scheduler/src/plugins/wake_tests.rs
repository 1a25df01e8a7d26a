//! For each filter: what it refused a pod for ends, and that wakes the pod; what has nothing to do with
//! it does not.

use std::sync::Arc;

use k3s_client::{Obj, Object};
use serde_json::{Value, json};

use super::default_profile;
use crate::cache::Cache;
use crate::cycle::{Decision, decide};
use crate::event::Event;
use crate::framework::Refusers;
use crate::model::{NodeInfo, PodInfo, Storage, VolumeNeeds};

fn node(name: &str, extra: &Value) -> NodeInfo {
    let mut value = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "zone": name}},
        "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110"}},
    });
    k3s_meta::patch::merge_patch(&mut value, extra).unwrap();
    NodeInfo::read(&Obj::from_value(value).unwrap()).unwrap()
}

fn pod(name: &str, spec: &Value) -> Arc<PodInfo> {
    let value = json!({"metadata": {"name": name, "namespace": "n", "uid": name, "labels": {"app": name}}, "spec": spec});
    Arc::new(PodInfo::read(&Obj::from_value(value).unwrap()).unwrap())
}

fn on(node: &str, name: &str, spec: &Value) -> Arc<PodInfo> {
    let mut spec = spec.clone();
    spec["nodeName"] = node.into();
    pod(name, &spec)
}

/// Who refuses the pod now, or the node it gets.
fn ask(cache: &Cache, pod: &PodInfo) -> Result<String, Refusers> {
    match decide(&default_profile(), pod, cache.nodes(), 0.0) {
        Decision::Node(node) => Ok(node),
        Decision::Nowhere(_, refusers) => Err(refusers),
    }
}

fn near(kind: &str, app: &str) -> Value {
    json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "zone"}]}}})
}

fn port(number: u16) -> Value {
    json!({"containers": [{"ports": [{"hostPort": number}]}]})
}

fn cpu(amount: &str) -> Value {
    json!({"containers": [{"resources": {"requests": {"cpu": amount}}}]})
}

struct Case {
    filter: &'static str,
    waiting: Value,
    /// The cluster: a node, and what is on it.
    node: NodeInfo,
    there: Vec<Arc<PodInfo>>,
    /// Does not concern the filter.
    other: fn(&mut Cache) -> Option<Event>,
    /// Ends what the filter refused.
    cure: fn(&mut Cache) -> Option<Event>,
}

impl Case {
    fn new(filter: &'static str, waiting: Value, node: NodeInfo) -> Self {
        Self {
            filter,
            waiting,
            node,
            there: Vec::new(),
            other: |cache| cache.set_pod(&on("a", "stranger", &json!({}))),
            cure: |cache| cache.set_node(node_a()),
        }
    }

    fn with(self, name: &str, spec: &Value) -> Self {
        let there = vec![on("a", name, spec)];
        Self { there, ..self }
    }

    fn other(self, other: fn(&mut Cache) -> Option<Event>) -> Self {
        Self { other, ..self }
    }

    fn cure(self, cure: fn(&mut Cache) -> Option<Event>) -> Self {
        Self { cure, ..self }
    }
}

fn node_a() -> NodeInfo {
    node("a", &json!({}))
}

fn cases() -> Vec<Case> {
    let tainted = || json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}});
    let less = || json!({"status": {"allocatable": {"cpu": "1"}}});
    vec![
        Case::new(
            "NodeUnschedulable",
            json!({}),
            node("a", &json!({"spec": {"unschedulable": true}})),
        ),
        Case::new("TaintToleration", json!({}), node("a", &tainted())),
        Case::new(
            "NodeAffinity",
            json!({"nodeSelector": {"disk": "ssd"}}),
            node_a(),
        )
        .cure(|cache| cache.set_node(node("a", &json!({"metadata": {"labels": {"disk": "ssd"}}})))),
        Case::new("NodeName", json!({"nodeName": "b"}), node_a())
            .cure(|cache| cache.set_node(node("b", &json!({})))),
        Case::new("NodePorts", port(80), node_a())
            .with("holder", &port(80))
            .other(|cache| {
                cache.set_pod(&on("a", "elsewhere", &port(81)));
                cache.remove_pod("elsewhere")
            })
            .cure(|cache| cache.remove_pod("holder")),
        Case::new("NodeResourcesFit", cpu("2"), node("a", &less())),
        Case::new("NodeResourcesFit", cpu("2"), node_a())
            .with("eater", &cpu("1"))
            .cure(|cache| cache.remove_pod("eater")),
        Case::new("NodeResourcesFit", cpu("2"), node_a())
            .with("eater", &cpu("1"))
            .cure(|cache| cache.set_pod(&on("a", "eater", &json!({})))),
        Case::new("InterPodAffinity", near("podAffinity", "friend"), node_a())
            .cure(|cache| cache.set_pod(&on("a", "friend", &json!({})))),
        Case::new("InterPodAffinity", near("podAffinity", "friend"), node_a()).cure(|cache| {
            // This scheduler's own decision counts once the API shows it.
            cache.assume(&pod("friend", &json!({})), "a");
            cache.set_pod(&on("a", "friend", &json!({})))
        }),
        Case::new("InterPodAffinity", near("podAntiAffinity", "foe"), node_a())
            .with("foe", &json!({}))
            .cure(|cache| cache.remove_pod("foe")),
        Case::new("InterPodAffinity", json!({}), node_a())
            .with("loner", &near("podAntiAffinity", "waiting"))
            .cure(|cache| cache.remove_pod("loner")),
        Case::new("InterPodAffinity", near("podAntiAffinity", "foe"), node_a())
            .with("foe", &json!({}))
            .cure(|cache| {
                let mut renamed = PodInfo::clone(&on("a", "foe", &json!({})));
                renamed.labels.insert("app".into(), "friend".into());
                cache.set_pod(&Arc::new(renamed))
            }),
    ]
}

#[test]
fn what_ends_a_refusal_wakes_the_pod_and_nothing_else_does() {
    let profile = default_profile();
    for (number, case) in cases().into_iter().enumerate() {
        let what = format!("case {number}, {}", case.filter);
        let waiting = pod("waiting", &case.waiting);
        let mut cache = Cache::default();
        cache.set_node(case.node);
        for pod in &case.there {
            cache.set_pod(pod);
        }
        let refusers = ask(&cache, &waiting).expect_err(&what);
        let names = refusers.iter().map(|at| profile.filters[*at].name());
        assert_eq!(names.collect::<Vec<_>>(), [case.filter], "{what}");
        let other = (case.other)(&mut cache).expect(&what);
        assert!(
            !profile.may_help(&refusers, &waiting, &other),
            "{what}: woken by {other:?}"
        );
        let cure = (case.cure)(&mut cache).expect(&what);
        assert!(
            profile.may_help(&refusers, &waiting, &cure),
            "{what}: not woken by {cure:?}"
        );
        assert!(ask(&cache, &waiting).is_ok(), "{what}");
    }
}

#[test]
fn a_pod_that_is_to_be_spread_waits_for_pods_that_count_and_for_nodes() {
    let profile = default_profile();
    let spread = json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "waiting"}}}]});
    let mut cache = Cache::default();
    cache.set_node(node_a());
    cache.set_node(node("b", &json!({"spec": {"unschedulable": true}})));
    let mut twin = PodInfo::clone(&on("a", "twin", &json!({})));
    twin.labels.insert("app".into(), "waiting".into());
    cache.set_pod(&Arc::new(twin));
    let waiting = pod("waiting", &spread);
    let refusers = ask(&cache, &waiting).unwrap_err();
    let may_help = |event: &Event| profile.may_help(&refusers, &waiting, event);
    let stranger = cache.set_pod(&on("a", "stranger", &json!({}))).unwrap();
    assert!(!may_help(&stranger));
    assert!(
        may_help(&cache.remove_node("b").unwrap()),
        "one domain less"
    );
    assert!(ask(&cache, &waiting).is_ok());
    assert!(may_help(&cache.remove_pod("twin").unwrap()));
}

#[derive(Default)]
struct NoStorage;

impl Storage for NoStorage {
    fn claim(&self, _: &str) -> Option<Object> {
        None
    }
    fn volume(&self, _: &str) -> Option<Object> {
        None
    }
    fn volumes(&self) -> Vec<Object> {
        Vec::new()
    }
    fn class(&self, _: &str) -> Option<Object> {
        None
    }
}

#[test]
fn a_pod_with_claims_waits_for_storage_and_one_that_cannot_be_served_for_nothing() {
    let profile = default_profile();
    let mut cache = Cache::default();
    cache.set_node(node_a());
    let claims =
        json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]});
    let mut waiting = PodInfo::clone(&pod("waiting", &claims));
    waiting.volumes = VolumeNeeds::read(&waiting, &NoStorage);
    let refusers = ask(&cache, &waiting).unwrap_err();
    assert!(profile.may_help(&refusers, &waiting, &Event::StorageChanged));
    let stranger = cache.set_pod(&on("a", "stranger", &json!({}))).unwrap();
    assert!(!profile.may_help(&refusers, &waiting, &stranger));

    let devices = pod("devices", &json!({"resourceClaims": [{"name": "gpu"}]}));
    let refusers = ask(&cache, &devices).unwrap_err();
    assert!(!profile.may_help(&refusers, &devices, &Event::NodeAdded));
    assert!(!profile.may_help(&refusers, &devices, &Event::StorageChanged));
}

#[test]
fn a_claim_of_one_pod_at_a_time_waits_for_the_pod_that_has_it() {
    let profile = default_profile();
    let claims =
        json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]});
    let mut cache = Cache::default();
    cache.set_node(node_a());
    cache.set_pod(&on("a", "holder", &claims));
    let mut waiting = PodInfo::clone(&pod("waiting", &claims));
    waiting.volumes.exclusive = vec!["data".into()];
    let refusers = ask(&cache, &waiting).unwrap_err();
    let left = cache.remove_pod("holder").unwrap();
    assert!(profile.may_help(&refusers, &waiting, &left));
    assert!(ask(&cache, &waiting).is_ok());
}

#[test]
fn a_pod_that_no_node_was_there_for_waits_for_any_event() {
    let mut cache = Cache::default();
    let waiting = pod("waiting", &json!({}));
    let refusers = ask(&cache, &waiting).unwrap_err();
    let added = cache.set_node(node_a()).unwrap();
    assert!(default_profile().may_help(&refusers, &waiting, &added));
}
