//! Pure: where a daemon Pod belongs, and the Pod that is made for a node.

use k3s_client::{Obj, Object};
use k3s_meta::{object, tree};
use serde::Deserialize;
use serde_json::{Value, json};

use super::model::{DaemonSet, HASH_LABEL};
use crate::common::node::{selected, tolerates};
use crate::common::pod::Toleration;
use crate::common::template;

/// Taints that daemons always tolerate (upstream `AddOrUpdateDaemonPodTolerations`).
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// Where the term that binds a Pod to its node stands.
const REQUIRED_NODE_AFFINITY: &str =
    "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution";

/// Whether a node should have a daemon Pod, and whether one that is there may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    pub(super) run: bool,
    pub(super) stay: bool,
}

pub(super) fn fit(daemon: &DaemonSet, node: &Obj) -> Fit {
    let spec = daemon.template().get("spec").unwrap_or(&Value::Null);
    let named = tree::text(spec, "nodeName");
    if (!named.is_empty() && named != node.name()) || !selected(spec, node) {
        return Fit {
            run: false,
            stay: false,
        };
    }
    let parsed = tolerations(spec);
    let tolerations: Vec<Toleration> = parsed
        .iter()
        .filter_map(|t| Toleration::deserialize(t).ok())
        .collect();
    let run = tolerates(&tolerations, node, &["NoSchedule", "NoExecute"]);
    Fit {
        run,
        stay: run || tolerates(&tolerations, node, &["NoExecute"]),
    }
}

fn tolerations(spec: &Value) -> Vec<Value> {
    let mut tolerations = tree::list(spec, "tolerations").to_vec();
    let network = tree::flag(spec, "hostNetwork")
        .then_some(("node.kubernetes.io/network-unavailable", "NoSchedule"));
    for (key, effect) in TOLERATED.into_iter().chain(network) {
        let new = json!({"key": key, "operator": "Exists", "effect": effect});
        if !tolerations.contains(&new) {
            tolerations.push(new);
        }
    }
    tolerations
}

/// The Pod of a node.
pub(super) fn pod(daemon: &DaemonSet, node: &str, hash: &str, generation: i64) -> Value {
    let mut pod = template::pod(
        daemon.template(),
        &daemon.object,
        &k3s_client::resources::DAEMON_SETS,
    );
    object::set_label(&mut pod, HASH_LABEL, hash);
    tree::set(
        &mut pod,
        "metadata.labels.pod-template-generation",
        generation.to_string(),
    );
    let all = tolerations(tree::get(&pod, "spec").unwrap_or(&Value::Null));
    tree::set(&mut pod, "spec.tolerations", all);
    // Only this term counts: the node was picked by all the others already.
    let term =
        json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]});
    tree::set(
        &mut pod,
        REQUIRED_NODE_AFFINITY,
        json!({"nodeSelectorTerms": [term]}),
    );
    pod
}

/// The nodes where a daemon Pod belongs.
pub(super) fn wanted(daemon: &DaemonSet, nodes: &[Object]) -> Vec<(Object, Fit)> {
    nodes
        .iter()
        .map(|node| (node.clone(), fit(daemon, node)))
        .collect()
}
