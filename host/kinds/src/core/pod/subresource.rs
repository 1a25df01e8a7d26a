//! What the subresources of a pod may change.
//!
//! `/ephemeralcontainers` and `/resize` take a whole pod but accept only a part of it; everything
//! else is put back from the stored object before validation.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use k3s_objects::PodSpec;
use serde_json::{Value, json};

use super::validation;
use crate::equality::semantic_eq;

/// `/ephemeralcontainers`: only `spec.ephemeralContainers` and open metadata change.
pub fn prepare_ephemeral_containers(new: &mut Value, old: &Value) {
    let wanted = tree::get(new, "spec.ephemeralContainers").cloned();
    restore(new, old);
    if let Some(wanted) = wanted {
        tree::set(new, "spec.ephemeralContainers", wanted);
    }
}

/// `/resize`: only resources and resize policies of containers known to the old pod change.
pub fn prepare_resize(new: &mut Value, old: &Value) {
    let wanted = new.clone();
    restore(new, old);
    for list in ["containers", "initContainers"] {
        let path = format!("spec.{list}");
        for container in tree::each_mut(new, &path) {
            let name = tree::text(container, "name").to_owned();
            let Some(source) = tree::list(&wanted, &path)
                .iter()
                .find(|other| tree::text(other, "name") == name)
            else {
                continue;
            };
            tree::copy(container, source, "resources");
            tree::copy(container, source, "resizePolicy");
        }
    }
    tree::copy(new, &wanted, "spec.resources");
}

/// Errors of an update through `/ephemeralcontainers`: containers are added, never changed or removed.
#[must_use]
pub fn validate_ephemeral_containers(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validation::validate(new);
    let path = Path::new("spec.ephemeralContainers");
    let wanted = tree::list(new, "spec.ephemeralContainers");
    for before in tree::list(old, "spec.ephemeralContainers") {
        let name = tree::text(before, "name");
        match wanted
            .iter()
            .find(|after| tree::text(after, "name") == name)
        {
            None => {
                errors.push(field::forbidden(
                    &path,
                    format!("existing ephemeral containers {name:?} may not be removed\n"),
                ));
            }
            Some(after) if !semantic_eq(Some(after), Some(before)) => {
                errors.push(field::forbidden(
                    &path,
                    format!("existing ephemeral containers {name:?} may not be changed\n"),
                ));
            }
            Some(_) => {}
        }
    }
    errors
}

/// Errors of an update through `/resize`: CPU and memory change, the class of service does not.
#[must_use]
pub fn validate_resize(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validation::validate(new);
    let path = Path::new("spec");
    let class = |pod: &Value| {
        let spec = pod.get("spec").unwrap_or(&Value::Null);
        PodSpec::resources_from_value(spec).qos_class()
    };
    if class(new) != class(old) {
        let detail = "Pod QOS Class may not change as a result of resizing";
        errors.push(field::invalid(&path, class(new).as_str(), detail));
    }
    if !semantic_eq(
        Some(&without_cpu_and_memory(new)),
        Some(&without_cpu_and_memory(old)),
    ) {
        errors.push(field::forbidden(
            &path,
            "only cpu and memory resources are mutable",
        ));
    }
    errors
}

fn without_cpu_and_memory(pod: &Value) -> Value {
    let mut spec = pod.get("spec").cloned().unwrap_or_default();
    let strip = |holder: &mut Value| {
        for list in ["requests", "limits"] {
            for resource in ["cpu", "memory"] {
                tree::remove(holder, &format!("resources.{list}.{resource}"));
            }
        }
        tree::remove(holder, "resizePolicy");
    };
    strip(&mut spec);
    for list in ["containers", "initContainers"] {
        tree::each_mut(&mut spec, list).for_each(strip);
    }
    spec
}

/// `pods/NAME/binding`: puts the node name into the pod and marks it scheduled. The error is the
/// text of the conflict that upstream's `assignPod` answers.
pub fn bind(pod: &mut Value, binding: &Value, now: &str) -> Result<(), String> {
    let name = tree::text(pod, "metadata.name").to_owned();
    if tree::has(pod, "metadata.deletionTimestamp") {
        return Err(format!(
            "pod {name} is being deleted, cannot be assigned to a host"
        ));
    }
    if tree::has(pod, "spec.nodeName") {
        return Err(format!(
            "pod {name} is already assigned to node {:?}",
            tree::text(pod, "spec.nodeName")
        ));
    }
    if tree::has(pod, "spec.schedulingGates") {
        return Err(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    tree::set(pod, "spec.nodeName", tree::text(binding, "target.name"));
    for map in ["annotations", "labels"] {
        let path = format!("metadata.{map}");
        let more = tree::map(binding, &path).clone();
        if !more.is_empty()
            && let Some(target) = tree::ensure(pod, &path)
        {
            target.extend(more);
        }
    }
    set_condition(
        pod,
        json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now}),
    );
    Ok(())
}

/// Sets a condition of `status.conditions` by its type.
fn set_condition(pod: &mut Value, condition: Value) {
    let kind = tree::text(&condition, "type").to_owned();
    let mut conditions = tree::list(pod, "status.conditions").to_vec();
    conditions.retain(|old| tree::text(old, "type") != kind);
    conditions.push(condition);
    tree::set(pod, "status.conditions", conditions);
}

/// The condition of a pod that scheduling gates hold back.
pub(super) fn gated_condition() -> Value {
    json!({
        "type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "lastProbeTime": null,
        "lastTransitionTime": null,
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    })
}

/// Drops the gated condition when the last gate has gone.
pub(super) fn release_gates(new: &mut Value, old: &Value) {
    if !tree::has(old, "spec.schedulingGates") || tree::has(new, "spec.schedulingGates") {
        return;
    }
    let mut conditions = tree::list(new, "status.conditions").to_vec();
    conditions.retain(|condition| tree::text(condition, "reason") != "SchedulingGated");
    tree::set(new, "status.conditions", conditions);
}

fn restore(new: &mut Value, old: &Value) {
    tree::copy(new, old, "spec");
    tree::copy(new, old, "status");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_bound_once() {
        let mut pod =
            json!({"metadata": {"name": "p"}, "spec": {}, "status": {"phase": "Pending"}});
        let binding = json!({"target": {"kind": "Node", "name": "n1"}});
        bind(&mut pod, &binding, "2026-01-02T03:04:05Z").unwrap();
        assert_eq!(tree::text(&pod, "spec.nodeName"), "n1");
        assert_eq!(
            tree::text(&tree::list(&pod, "status.conditions")[0], "status"),
            "True"
        );
        let again = bind(&mut pod, &binding, "2026-01-02T03:04:05Z").unwrap_err();
        assert_eq!(again, "pod p is already assigned to node \"n1\"");
    }

    #[test]
    fn ephemeral_containers_are_only_added() {
        let pod = |ephemeral: Value| {
            json!({"spec": {"restartPolicy": "Always", "containers": [{"name": "c", "image": "i"}],
            "ephemeralContainers": ephemeral}})
        };
        let old = pod(json!([{"name": "a", "image": "i"}]));
        let added = pod(json!([{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]));
        assert!(validate_ephemeral_containers(&added, &old).is_empty());
        assert_eq!(
            validate_ephemeral_containers(&pod(json!([])), &old).to_string(),
            "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"a\" may not be removed\n"
        );
    }

    #[test]
    fn resize_changes_resources_alone() {
        let old = json!({"spec": {"containers": [{"name": "c", "image": "a", "resources": {}}]}});
        let mut new = json!({"spec": {"containers": [{"name": "c", "image": "b", "resources": {"requests": {"cpu": "1"}}}]}});
        prepare_resize(&mut new, &old);
        assert_eq!(
            new,
            json!({"spec": {"containers": [{"name": "c", "image": "a", "resources": {"requests": {"cpu": "1"}}}]}})
        );
    }
}
