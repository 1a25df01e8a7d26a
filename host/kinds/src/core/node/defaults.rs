//! Defaults of nodes.

use k3s_meta::tree;
use serde_json::{Value, json};

use crate::quantity;

/// What a node has is allocatable until the kubelet says less.
pub(super) fn default(node: &mut Value) {
    tree::ensure(node, "spec");
    pod_ranges(node);
    quantity::canonical_list(node, "status.capacity");
    quantity::canonical_list(node, "status.allocatable");
    if let Some(capacity) = tree::get(node, "status.capacity").cloned() {
        tree::set_missing(node, "status.allocatable", capacity);
    }
    tree::set_missing(
        node,
        "status.daemonEndpoints",
        json!({"kubeletEndpoint": {"Port": 0}}),
    );
    for field in [
        "architecture",
        "bootID",
        "containerRuntimeVersion",
        "kernelVersion",
        "kubeProxyVersion",
        "kubeletVersion",
        "machineID",
        "operatingSystem",
        "osImage",
        "systemUUID",
    ] {
        tree::set_missing(node, &format!("status.nodeInfo.{field}"), "");
    }
}

/// Both spellings of the ranges of pods agree: the older one, where it is given, is what counts
/// (`Convert_v1_NodeSpec_To_core_NodeSpec`).
fn pod_ranges(node: &mut Value) {
    let only = tree::text(node, "spec.podCIDR").to_owned();
    let first = tree::texts(node, "spec.podCIDRs").first().copied();
    match first.map(str::to_owned) {
        Some(first) if only.is_empty() => tree::set(node, "spec.podCIDR", first),
        Some(first) if first == only => {}
        None if only.is_empty() => {}
        _ => tree::set(node, "spec.podCIDRs", json!([only])),
    }
}
