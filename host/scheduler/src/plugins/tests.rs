//! Cycles over small clusters: pods and nodes as JSON, the decision as text.

use std::sync::Arc;

use k3s_client::Obj;
use serde_json::{Value, json};

use super::default_profile;
use crate::cycle::{Decision, decide};
use crate::model::{NodeInfo, PodInfo};

fn node(name: &str, extra: &Value) -> NodeInfo {
    let mut value = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "zone": "z1"}},
        "spec": {},
        "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110", "ephemeral-storage": "10Gi"}},
    });
    k3s_meta::patch::merge_patch(&mut value, extra).unwrap();
    NodeInfo::read(&Obj::from_value(value).unwrap()).unwrap()
}

fn pod(name: &str, spec: &Value) -> PodInfo {
    let mut value = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "i"}], "schedulerName": "default-scheduler"},
    });
    k3s_meta::patch::merge_patch(&mut value, &json!({"spec": spec})).unwrap();
    PodInfo::read(&Obj::from_value(value).unwrap()).unwrap()
}

fn outcome(pod: &PodInfo, nodes: &[NodeInfo]) -> String {
    match decide(&default_profile(), pod, nodes, 0.0) {
        Decision::Node(name) => name,
        Decision::Nowhere(message, _) => message,
    }
}

fn requests(cpu: &str, memory: &str) -> Value {
    json!({"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]})
}

#[test]
fn reasons_are_counted_as_upstream_words_them() {
    let tainted = node(
        "b",
        &json!({"spec": {"taints": [{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]}}),
    );
    let cordoned = node("c", &json!({"spec": {"unschedulable": true}}));
    let nodes = [node("a", &json!({})), tainted, cordoned];
    assert_eq!(
        outcome(&pod("p", &requests("3", "1Gi")), &nodes),
        "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {dedicated: db}, 1 node(s) were unschedulable."
    );
    assert_eq!(
        outcome(&pod("p", &json!({})), &[]),
        "no nodes available to schedule pods"
    );
}

#[test]
fn filters_one_by_one() {
    let a = || node("a", &json!({}));
    for (spec, nodes, expected) in [
        (requests("2", "4Gi"), vec![a()], "a"),
        (
            requests("2001m", "1Gi"),
            vec![a()],
            "0/1 nodes are available: 1 Insufficient cpu.",
        ),
        (
            requests("3", "5Gi"),
            vec![a()],
            "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.",
        ),
        (
            json!({"nodeSelector": {"disk": "ssd"}}),
            vec![a()],
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        ),
        (json!({"nodeSelector": {"zone": "z1"}}), vec![a()], "a"),
        (
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]}}}}),
            vec![a(), node("b", &json!({}))],
            "b",
        ),
        (
            json!({"tolerations": [{"operator": "Exists"}]}),
            vec![node(
                "a",
                &json!({"spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}}),
            )],
            "a",
        ),
        (
            json!({"resourceClaims": [{"name": "gpu"}]}),
            vec![a()],
            "0/1 nodes are available: 1 node(s) cannot allocate resource claims: not supported.",
        ),
    ] {
        assert_eq!(outcome(&pod("p", &spec), &nodes), expected, "{spec}");
    }
}

#[test]
fn a_full_node_and_a_taken_port_are_refused() {
    let mut full = node("a", &json!({"status": {"allocatable": {"pods": "1"}}}));
    let port = json!({"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]}]});
    full.add(Arc::new(pod("other", &port)));
    assert_eq!(
        outcome(&pod("p", &json!({})), &[full.clone()]),
        "0/1 nodes are available: 1 Too many pods."
    );
    full.allocatable.pods = 10;
    assert_eq!(
        outcome(&pod("p", &port), &[full.clone()]),
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
    );
    let udp = json!({"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 80, "protocol": "UDP"}]}]});
    assert_eq!(outcome(&pod("p", &udp), &[full]), "a");
}

#[test]
fn the_emptier_node_is_preferred() {
    let mut busy = node("busy", &json!({}));
    busy.add(Arc::new(pod("other", &requests("1", "1Gi"))));
    assert_eq!(
        outcome(
            &pod("p", &requests("100m", "100Mi")),
            &[busy, node("idle", &json!({}))]
        ),
        "idle"
    );
}

#[test]
fn init_containers_and_sidecars_count_as_upstream_counts_them() {
    let spec = json!({
        "initContainers": [
            {"name": "side", "image": "i", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}},
            {"name": "big", "image": "i", "resources": {"requests": {"cpu": "1500m"}}},
        ],
        "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}],
        "overhead": {"cpu": "10m"},
    });
    assert_eq!(pod("p", &spec).requests.milli_cpu, 1610);
}

fn affinity(kind: &str, key: &str) -> Value {
    json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": key}]}}})
}

#[test]
fn pods_keep_apart_and_together() {
    let mut a = node("a", &json!({}));
    let b = node("b", &json!({}));
    a.add(Arc::new(pod("web", &json!({}))));
    assert_eq!(
        outcome(
            &pod("p", &affinity("podAntiAffinity", "kubernetes.io/hostname")),
            &[a.clone(), b.clone()]
        ),
        "b"
    );
    assert_eq!(
        outcome(
            &pod("p", &affinity("podAffinity", "kubernetes.io/hostname")),
            &[a.clone(), b.clone()]
        ),
        "a"
    );
    assert!(
        outcome(
            &pod("p", &affinity("podAntiAffinity", "zone")),
            &[a, b.clone()]
        )
        .contains("didn't match pod anti-affinity rules")
    );
    // The first of a group that wants to be together may start anywhere.
    assert_eq!(
        outcome(
            &pod("p", &affinity("podAffinity", "zone")),
            std::slice::from_ref(&b)
        ),
        "b"
    );
    let mut guarded = b;
    guarded.add(Arc::new(pod("loner", &affinity("podAntiAffinity", "zone"))));
    assert!(
        outcome(&pod("p", &json!({})), &[guarded])
            .contains("didn't satisfy existing pods anti-affinity rules")
    );
}

#[test]
fn pods_spread_evenly() {
    let spec = json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}}]});
    let mut a = node("a", &json!({}));
    a.add(Arc::new(pod("web", &json!({}))));
    assert_eq!(
        outcome(&pod("p", &spec), &[a.clone(), node("b", &json!({}))]),
        "b"
    );
    let full = node("b", &json!({"spec": {"unschedulable": true}}));
    assert!(
        outcome(&pod("p", &spec), &[a, full])
            .contains("1 node(s) didn't match pod topology spread constraints")
    );
}
