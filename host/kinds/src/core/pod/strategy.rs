//! The form of a new pod, and how scheduling gates show in its status
//! (`pkg/registry/core/pod/strategy.go`).

use k3s_meta::tree;
use k3s_objects::PodSpec;
use serde_json::{Map, Value, json};

use crate::context::Context;

const OBSERVED_GENERATION: &str = "observedGeneration";

pub(super) fn prepare_create(pod: &mut Value, context: &Context<'_>) {
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    let class = PodSpec::resources_from_value(spec).qos_class().as_str();
    let mut status = json!({"phase": "Pending", "qosClass": class});
    if tree::has(pod, "spec.schedulingGates") {
        tree::set(&mut status, "conditions", json!([gated_condition(context)]));
    }
    tree::set(pod, "status", status);
    merge_label_keys(pod);
}

/// Lists of terms with a selector, and where in a member it is.
const TERMS: [(&str, &str); 5] = [
    (
        "affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution",
        "podAffinityTerm",
    ),
    (
        "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution",
        "",
    ),
    (
        "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution",
        "podAffinityTerm",
    ),
    (
        "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution",
        "",
    ),
    ("topologySpreadConstraints", ""),
];

/// A label key that a term names becomes an expression of its selector, with the pod's own value: so the
/// scheduler needs to look at selectors only.
fn merge_label_keys(pod: &mut Value) {
    let labels = tree::map(pod, "metadata.labels").clone();
    for (list, path) in TERMS {
        for member in tree::each_mut(pod, &format!("spec.{list}")) {
            let term = match path {
                "" => Some(member),
                path => tree::get_mut(member, path),
            };
            if let Some(term) = term {
                merge_into(term, &labels);
            }
        }
    }
}

fn merge_into(term: &mut Value, labels: &Map<String, Value>) {
    // A term without a selector selects nothing.
    if tree::get(term, "labelSelector").is_none() {
        return;
    }
    let mut added = Vec::new();
    for (list, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        for key in tree::texts(term, list) {
            if let Some(value) = labels.get(key) {
                added.push(json!({"key": key, "operator": operator, "values": [value]}));
            }
        }
    }
    if added.is_empty() {
        return;
    }
    let mut expressions = tree::list(term, "labelSelector.matchExpressions").to_vec();
    expressions.extend(added);
    tree::set(term, "labelSelector.matchExpressions", expressions);
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

/// Puts back what clients that do not know it leave out: the class, and up to which generation status and
/// conditions are (`preserveOldObservedGeneration`).
pub(super) fn prepare_status_update(new: &mut Value, old: &Value, _: &Context<'_>) {
    for path in ["status.qosClass", "status.observedGeneration"] {
        if !tree::has(new, path) {
            tree::copy(new, old, path);
        }
    }
    // What claims take of a node is a feature that is off; a pod that has used it goes on
    // (`dropPodNodeAllocatableResourceStatus`).
    let of_node = "status.nodeAllocatableResourceClaimStatuses";
    if !tree::has(old, of_node) {
        tree::remove(new, of_node);
    }
    let kind = |condition: &Value| tree::text(condition, "type").to_owned();
    let mut before: Vec<&Value> = tree::list(old, "status.conditions").iter().collect();
    for condition in tree::each_mut(new, "status.conditions") {
        let at = before.iter().position(|old| kind(old) == kind(condition));
        let stored = at.map(|at| before.remove(at));
        if let Some(stored) = stored.filter(|_| !tree::has(condition, OBSERVED_GENERATION)) {
            tree::copy(condition, stored, OBSERVED_GENERATION);
        }
    }
}

/// The condition of a pod that scheduling gates hold back.
fn gated_condition(context: &Context<'_>) -> Value {
    json!({
        "type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "lastProbeTime": null,
        "lastTransitionTime": context.time_stamp(),
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    })
}

#[cfg(test)]
mod tests {
    use k3s_meta::user::UserInfo;

    use super::*;

    #[test]
    fn a_status_keeps_what_old_clients_leave_out() {
        let old = json!({"status": {"qosClass": "Burstable", "observedGeneration": 3, "conditions": [
            {"type": "Ready", "status": "True", "observedGeneration": 2},
            {"type": "x", "observedGeneration": 4}, {"type": "x", "observedGeneration": 5}]}});
        let mut new = json!({"status": {"conditions": [
            {"type": "x"}, {"type": "x"}, {"type": "x"}, {"type": "Ready", "status": "False"},
            {"type": "y"}]}});
        prepare_status_update(&mut new, &old, &Context::at_epoch(&UserInfo::default()));
        assert_eq!(
            new,
            json!({"status": {"qosClass": "Burstable", "observedGeneration": 3, "conditions": [
                {"type": "x", "observedGeneration": 4}, {"type": "x", "observedGeneration": 5}, {"type": "x"},
                {"type": "Ready", "status": "False", "observedGeneration": 2}, {"type": "y"}]}})
        );
        let mut told = json!({"status": {"observedGeneration": 7, "conditions": [
            {"type": "Ready", "observedGeneration": 7}]}});
        let expected = told["status"]["conditions"].clone();
        prepare_status_update(&mut told, &old, &Context::at_epoch(&UserInfo::default()));
        assert_eq!(
            (
                &told["status"]["observedGeneration"],
                &told["status"]["conditions"]
            ),
            (&json!(7), &expected)
        );
    }

    #[test]
    fn what_claims_take_of_a_node_is_reported_of_pods_that_have_it() {
        let claims = json!([{"resourceClaimName": "c"}]);
        let with =
            |claims: &Value| json!({"status": {"nodeAllocatableResourceClaimStatuses": claims}});
        let user = UserInfo::default();
        for (old, is_kept) in [(json!({"status": {}}), false), (with(&claims), true)] {
            let mut new = with(&claims);
            prepare_status_update(&mut new, &old, &Context::at_epoch(&user));
            let kept = tree::has(&new, "status.nodeAllocatableResourceClaimStatuses");
            assert_eq!(kept, is_kept);
        }
    }
}
