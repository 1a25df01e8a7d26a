//! Pure: where a daemon Pod belongs, and the Pod that is made for a node.

use k3s_client::resources::DAEMON_SETS;
use k3s_client::{Obj, Object};
use k3s_meta::{object, tree};
use serde_json::{Value, json};

use super::model::{DaemonSet, HASH_LABEL};
use super::template_spec::tolerations;
use crate::common::node::{selected, tolerates};
use crate::common::template;

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
    let elsewhere = Fit {
        run: false,
        stay: false,
    };
    let Some(spec) = &daemon.spec else {
        return elsewhere;
    };
    let is_named = spec.node_name.is_empty() || spec.node_name == node.name();
    if !is_named || !selected(spec, node) {
        return elsewhere;
    }
    let run = tolerates(&spec.tolerations, node, &["NoSchedule", "NoExecute"]);
    Fit {
        run,
        stay: run || tolerates(&spec.tolerations, node, &["NoExecute"]),
    }
}

/// The Pod of a node.
pub(super) fn pod(daemon: &DaemonSet, node: &str, hash: &str, generation: i64) -> Value {
    let mut pod = template::pod(daemon.template(), &daemon.object, &DAEMON_SETS);
    object::set_label(&mut pod, HASH_LABEL, hash);
    tree::set(
        &mut pod,
        "metadata.labels.pod-template-generation",
        generation.to_string(),
    );
    let spec = tree::get(&pod, "spec").unwrap_or(&Value::Null);
    let all = tolerations(spec);
    tree::set(&mut pod, "spec.tolerations", all);
    // Only this term counts: the node was picked by all the others already.
    let affinity = json!({
        "nodeSelectorTerms": [
            {
                "matchFields": [
                    {
                        "key": "metadata.name",
                        "operator": "In",
                        "values": [node],
                    },
                ],
            },
        ],
    });
    tree::set(&mut pod, REQUIRED_NODE_AFFINITY, affinity);
    pod
}

/// The nodes where a daemon Pod belongs.
pub(super) fn wanted(daemon: &DaemonSet, nodes: &[Object]) -> Vec<(Object, Fit)> {
    nodes
        .iter()
        .map(|node| (node.clone(), fit(daemon, node)))
        .collect()
}
