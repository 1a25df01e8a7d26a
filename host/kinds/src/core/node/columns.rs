//! `kubectl get nodes`.

use k3s_meta::tree;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use crate::column::Column;
use crate::print;

const ADDRESSES: &str = "List of addresses reachable to the node. Queried from cloud provider, if available. More info: https://kubernetes.io/docs/reference/node/node-status/#addresses Note: This field is declared as mergeable, but the merge key is not sufficiently unique, which can cause data corruption when it is merged. Callers should instead use a full-replacement patch. See https://pr.k8s.io/79391 for an example. Consumers should assume that addresses can change during the lifetime of a Node. However, there are some exceptions where this may not be possible, such as Pods that inherit a Node's address in its own status or consumers of the downward API (status.hostIP).";

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("Status", "The status of the node"),
    Column::text("Roles", "The roles of the node"),
    Column::AGE,
    Column::text("Version", "Kubelet Version reported by the node."),
    Column::text("Internal-IP", ADDRESSES).wide(),
    Column::text("External-IP", ADDRESSES).wide(),
    Column::text("OS-Image", "OS Image reported by the node from /etc/os-release (e.g. Debian GNU/Linux 7 (wheezy)).")
        .wide(),
    Column::text("Kernel-Version", "Kernel Version reported by the node from 'uname -r' (e.g. 3.16.0-0.bpo.4-amd64).")
        .wide(),
    Column::text(
        "Container-Runtime",
        "ContainerRuntime Version reported by the node through runtime remote API (e.g. containerd://1.4.2).",
    )
    .wide(),
];

pub(super) fn cells(node: &Value, now: Timestamp) -> Vec<Value> {
    let info = |field: &str| match tree::text(node, &format!("status.nodeInfo.{field}")) {
        "" => Value::from(print::UNKNOWN),
        text => text.into(),
    };
    vec![
        print::name(node),
        status(node).into(),
        roles(node).into(),
        print::age(node, now),
        tree::text(node, "status.nodeInfo.kubeletVersion").into(),
        address(node, "InternalIP").into(),
        address(node, "ExternalIP").into(),
        info("osImage"),
        kernel(node, info("kernelVersion")),
        info("containerRuntimeVersion"),
    ]
}

/// The kernel and, where the node tells it, its architecture.
fn kernel(node: &Value, version: Value) -> Value {
    match (
        version.as_str(),
        tree::text(node, "status.nodeInfo.architecture"),
    ) {
        (Some(version), architecture) if !architecture.is_empty() => {
            format!("{version} ({architecture})").into()
        }
        _ => version,
    }
}

fn status(node: &Value) -> String {
    let ready = tree::list(node, "status.conditions")
        .iter()
        .find(|condition| tree::text(condition, "type") == "Ready");
    let mut status = match ready.map(|condition| tree::text(condition, "status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if tree::flag(node, "spec.unschedulable") {
        status.push_str(",SchedulingDisabled");
    }
    status
}

/// Roles by the labels `node-role.kubernetes.io/ROLE` and `kubernetes.io/role=ROLE`.
fn roles(node: &Value) -> String {
    let mut roles = BTreeSet::new();
    for (key, value) in tree::map(node, "metadata.labels") {
        match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) if !role.is_empty() => roles.insert(role),
            None if key == "kubernetes.io/role" && value != "" => {
                roles.insert(value.as_str().unwrap_or_default())
            }
            _ => false,
        };
    }
    if roles.is_empty() {
        print::NONE.to_owned()
    } else {
        roles.into_iter().collect::<Vec<_>>().join(",")
    }
}

fn address<'a>(node: &'a Value, kind: &str) -> &'a str {
    let found = tree::list(node, "status.addresses")
        .iter()
        .find(|address| tree::text(address, "type") == kind);
    found.map_or(print::NONE, |address| tree::text(address, "address"))
}
