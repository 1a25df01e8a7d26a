//! Defaults of nodes.

use k3s_meta::tree;
use serde_json::{Value, json};

use crate::quantity;

/// What a node has is allocatable until the kubelet says less.
pub(super) fn default(node: &mut Value) {
    tree::ensure(node, "spec");
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
