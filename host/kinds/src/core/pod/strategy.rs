//! The form of a new pod, and how scheduling gates show in its status
//! (`pkg/registry/core/pod/strategy.go`).

use k3s_meta::tree;
use k3s_objects::PodSpec;
use serde_json::{Value, json};

use crate::context::Context;

pub(super) fn prepare_create(pod: &mut Value, _: &Context<'_>) {
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    let class = PodSpec::resources_from_value(spec).qos_class().as_str();
    let mut status = json!({"phase": "Pending", "qosClass": class});
    if tree::has(pod, "spec.schedulingGates") {
        tree::set(&mut status, "conditions", json!([gated_condition()]));
    }
    tree::set(pod, "status", status);
}

/// Drops the condition of a gated pod when its last gate is removed.
pub(super) fn prepare_update(new: &mut Value, old: &Value, _: &Context<'_>) {
    if !tree::has(old, "spec.schedulingGates") || tree::has(new, "spec.schedulingGates") {
        return;
    }
    let mut conditions = tree::list(new, "status.conditions").to_vec();
    conditions.retain(|condition| tree::text(condition, "reason") != "SchedulingGated");
    tree::set(new, "status.conditions", conditions);
}

/// The condition of a pod that scheduling gates hold back.
fn gated_condition() -> Value {
    json!({
        "type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "lastProbeTime": null,
        "lastTransitionTime": null,
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    })
}
