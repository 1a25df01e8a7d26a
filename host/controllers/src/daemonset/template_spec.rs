//! The Pod spec of a DaemonSet's template as its Pods will have it, which decides where they fit.

use k3s_client::Object;
use k3s_meta::tree;
use k3s_objects::PodSpec;
use serde::Deserialize;
use serde_json::{Value, json};

/// Taints that daemons always tolerate (upstream `AddOrUpdateDaemonPodTolerations`).
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// The view of the template's Pod spec, with the tolerations that are added to daemon Pods.
pub(super) fn read(object: &Object) -> Option<PodSpec> {
    let template = tree::get(object.value(), "spec.template.spec")?;
    let mut spec = template.clone();
    let tolerations = tolerations(&spec);
    tree::set(&mut spec, "tolerations", tolerations);
    match PodSpec::deserialize(&spec) {
        Ok(spec) => Some(spec),
        Err(error) => {
            let key = object.key();
            tracing::warn!(daemonset = %key, %error, "cannot read the pod template");
            None
        }
    }
}

/// The tolerations of a Pod spec and those that daemons have anyway.
pub(super) fn tolerations(spec: &Value) -> Vec<Value> {
    let mut tolerations = tree::list(spec, "tolerations").to_vec();
    let mut missing = TOLERATED.to_vec();
    if tree::flag(spec, "hostNetwork") {
        missing.push(("node.kubernetes.io/network-unavailable", "NoSchedule"));
    }
    for (key, effect) in missing {
        let new = json!({
            "key": key,
            "operator": "Exists",
            "effect": effect,
        });
        if !tolerations.contains(&new) {
            tolerations.push(new);
        }
    }
    tolerations
}
