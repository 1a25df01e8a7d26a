//! `/resize`: CPU and memory of containers, and of the pod as a whole, change while the pod runs (KEP-1287).
//! Follows `podResizeStrategy` of `pkg/registry/core/pod/strategy.go` and `ValidatePodResize` of
//! `pkg/apis/core/validation/validation.go`.
//!
//! The request has a whole pod. Everything else in it is put back from the stored pod before
//! validation, so a client may send what it has read.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use k3s_objects::pod::{MIRROR_ANNOTATION, Pod, PodSpec, PodStatus};
use serde_json::{Map, Value, json};

use super::validation;
use crate::context::Context;
use crate::equality::semantic_eq;
use crate::generic::RESET_METADATA;
use crate::object_meta::validate_meta_update;
use crate::subresource::Subresource;

/// The lists of containers that can be resized.
const LISTS: [&str; 2] = ["containers", "initContainers"];
/// The resources that can.
const RESIZABLE: [&str; 2] = ["cpu", "memory"];

const ONLY_CPU_AND_MEMORY: &str = "only cpu and memory resources are mutable";

pub(super) const RESIZE: Subresource = Subresource {
    name: "resize",
    prepare,
    validate: Some(validate),
    new_generation: true,
};

fn containers<'a>(pod: &'a Value, list: &str) -> &'a [Value] {
    tree::list(pod, &format!("spec.{list}"))
}

fn prepare(new: &mut Value, old: &Value, _: &Context<'_>) {
    let counts = |pod: &Value| LISTS.map(|list| containers(pod, list).len());
    if counts(&*new) != counts(old) {
        // Validation refuses it.
        return;
    }
    let lists = LISTS.map(|list| resized(containers(new, list), containers(old, list)));
    let own = tree::get(new, "spec.resources").cloned();
    tree::copy(new, old, "spec");
    for (list, containers) in LISTS.into_iter().zip(lists) {
        if !containers.is_empty() {
            tree::set(new, &format!("spec.{list}"), containers);
        }
    }
    match own {
        Some(own) => tree::set(new, "spec.resources", own),
        None => drop(tree::remove(new, "spec.resources")),
    }
    tree::copy(new, old, "status");
    for key in RESET_METADATA {
        tree::copy(new, old, &format!("metadata.{key}"));
    }
}

/// The old containers with the resources of the new ones. Containers in another order are left for
/// validation to refuse.
fn resized(new: &[Value], old: &[Value]) -> Vec<Value> {
    let mut pairs = old.iter().zip(new);
    if !pairs.all(|(old, new)| tree::text(old, "name") == tree::text(new, "name")) {
        return new.to_vec();
    }
    let with_resources = |(old, new): (&Value, &Value)| {
        let mut container = old.clone();
        for field in ["resources", "resizePolicy"] {
            tree::copy(&mut container, new, field);
        }
        container
    };
    old.iter().zip(new).map(with_resources).collect()
}

fn validate(new: &Value, old: &Value) -> ErrorList {
    if tree::map(old, "metadata.annotations").contains_key(MIRROR_ANNOTATION) {
        return field::forbidden(&Path::root(), "static pods cannot be resized").into();
    }
    if tree::text(old, "spec.os.name") == "windows" {
        return field::forbidden(&Path::root(), "windows pods cannot be resized").into();
    }
    let mut errors = validate_meta_update(new, old, true);
    errors.append(validation::validate_spec(new));
    pod_as_a_whole(&mut errors, new, old);
    let order = order(new, old);
    if !order.is_empty() {
        errors.append(order);
        return errors;
    }
    for list in LISTS {
        removals(&mut errors, list, new, old);
    }
    for list in LISTS {
        changes(&mut errors, list, new, old);
    }
    if errors.is_empty() && !semantic_eq(Some(&masked_spec(new, old)), tree::get(old, "spec")) {
        errors.push(field::forbidden(&Path::new("spec"), ONLY_CPU_AND_MEMORY));
    }
    errors
}

/// What holds for the pod rather than for one of its containers.
fn pod_as_a_whole(errors: &mut ErrorList, new: &Value, old: &Value) {
    let path = Path::new("spec");
    let spec = |pod| PodSpec::resources_from_value(tree::get(pod, "spec").unwrap_or(&Value::Null));
    let recorded = tree::text(old, "status.qosClass");
    let before = Pod {
        spec: spec(old),
        status: PodStatus {
            qos_class: recorded.to_owned(),
            ..PodStatus::default()
        },
    };
    if before.qos_class() != spec(new).qos_class() {
        let detail = "Pod QOS Class may not change as a result of resizing";
        errors.push(field::invalid(&path, recorded, detail));
    }
    if !is_supported(old) {
        let detail = "Pod running on node without support for resize";
        errors.push(field::forbidden(&path, detail));
    }
    pod_level(errors, new, old, &path);
    if tree::has(old, "status.nodeAllocatableResourceClaimStatuses") {
        let detail = "pods with node allocatable resource claims cannot be resized";
        errors.push(field::forbidden(&path, detail));
    }
}

/// A kubelet that can resize reports the resources of what runs.
fn is_supported(pod: &Value) -> bool {
    let mut statuses = tree::list(pod, "status.containerStatuses").iter();
    let running = statuses.find(|status| tree::get(status, "state.running").is_some());
    running.is_none_or(|running| tree::get(running, "resources").is_some())
}

/// Requests and limits of the pod as a whole (KEP-5419).
fn pod_level(errors: &mut ErrorList, new: &Value, old: &Value, path: &Path) {
    let [own, own_before] = [new, old].map(|pod| tree::get(pod, "spec.resources"));
    let is_set = |own: Option<&Value>| {
        let mut lists = ["requests", "limits"].iter();
        own.is_some_and(|own| lists.any(|list| tree::has(own, list)))
    };
    if !is_set(own) && !is_set(own_before) {
        return;
    }
    let at = path.child("resources");
    if own.is_none() && own_before.is_some() {
        errors.push(field::forbidden(
            &at,
            "pod-level resources cannot be removed",
        ));
        return;
    }
    for list in ["requests", "limits"] {
        if own_before.is_some() && is_removed(own, own_before, list) {
            let detail = format!("pod-level resource {list} cannot be removed");
            errors.push(field::forbidden(&at.child(list), detail));
        }
    }
    if !semantic_eq(masked_own(own, own_before).as_ref(), own_before) {
        let detail = "only cpu and memory resources are mutable at pod-level";
        errors.push(field::forbidden(path, detail));
    }
}

/// Containers are not added, removed, renamed or put in another order.
fn order(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    for list in LISTS {
        let path = Path::new("spec").child(list);
        let [after, before] = [new, old].map(|pod| containers(pod, list));
        if after.len() != before.len() {
            let detail = format!("{list} may not be added or removed on resize");
            errors.push(field::forbidden(&path, detail));
            continue;
        }
        for (index, (after, before)) in after.iter().zip(before).enumerate() {
            if tree::text(after, "name") != tree::text(before, "name") {
                let at = path.index(index).child("name");
                let detail = format!("{list} may not be renamed or reordered on resize");
                errors.push(field::forbidden(&at, detail));
            }
        }
    }
    errors
}

/// Requests and limits stay, whatever their amount.
fn removals(errors: &mut ErrorList, list: &str, new: &Value, old: &Value) {
    let pairs = containers(new, list).iter().zip(containers(old, list));
    for (index, (after, before)) in pairs.enumerate() {
        let [after, before] = [after, before].map(|it| tree::get(it, "resources"));
        let path = Path::new("spec").child(list).index(index);
        for kind in ["requests", "limits"] {
            if is_removed(after, before, kind) {
                let at = path.child("resources").child(kind);
                let detail = format!("resource {kind} cannot be removed");
                errors.push(field::forbidden(&at, detail));
            }
        }
    }
}

fn is_removed(after: Option<&Value>, before: Option<&Value>, list: &str) -> bool {
    let after = entries(after, list);
    let mut names = entries(before, list).keys();
    names.any(|name| !after.contains_key(name))
}

fn entries<'a>(resources: Option<&'a Value>, list: &str) -> &'a Map<String, Value> {
    tree::map(resources.unwrap_or(&Value::Null), list)
}

/// In a container nothing but CPU and memory changes.
fn changes(errors: &mut ErrorList, list: &str, new: &Value, old: &Value) {
    let spec = Path::new("spec");
    let pairs = containers(new, list).iter().zip(containers(old, list));
    for (index, (after, before)) in pairs.enumerate() {
        let is_same = semantic_eq(Some(&masked(after, before)), Some(before));
        if list == "containers" {
            if !is_same {
                errors.push(field::forbidden(&spec, ONLY_CPU_AND_MEMORY));
            }
            continue;
        }
        let path = spec.child(list).index(index);
        if !is_same {
            let detail = "only cpu and memory resources for init or sidecar containers are mutable";
            errors.push(field::forbidden(&path, detail));
        }
        let is_sidecar = tree::text(after, "restartPolicy") == "Always";
        if is_sidecar || semantic_eq(Some(after), Some(before)) {
            continue;
        }
        let policies = tree::list(after, "resizePolicy").iter();
        for _ in policies.filter(|it| tree::text(it, "restartPolicy") == "RestartContainer") {
            let detail = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized";
            errors.push(field::forbidden(&path, detail));
        }
    }
}

/// The new spec with the CPU and memory of the old one everywhere.
fn masked_spec(new: &Value, old: &Value) -> Value {
    let mut spec = tree::get(new, "spec").cloned().unwrap_or_default();
    for list in LISTS {
        let pairs = containers(new, list).iter().zip(containers(old, list));
        let masked: Vec<Value> = pairs.map(|(new, old)| masked(new, old)).collect();
        tree::set(&mut spec, list, masked);
    }
    let [own, own_before] = [new, old].map(|pod| tree::get(pod, "spec.resources"));
    let own = masked_own(own, own_before);
    tree::set(&mut spec, "resources", own.unwrap_or_default());
    spec
}

/// The container with the CPU and memory of the old one. Claims are dropped, as upstream does: a container
/// that has some is not resized.
fn masked(new: &Value, old: &Value) -> Value {
    let [after, before] = [new, old].map(|it| tree::get(it, "resources"));
    let mut container = new.clone();
    let resources = json!({
        "requests": masked_list(after, before, "requests"),
        "limits": masked_list(after, before, "limits"),
    });
    tree::set(&mut container, "resources", resources);
    container
}

/// The resources of the pod as a whole, with the CPU and memory of the old ones.
fn masked_own(own: Option<&Value>, before: Option<&Value>) -> Option<Value> {
    let mut masked = own?.clone();
    for list in ["requests", "limits"] {
        tree::set(&mut masked, list, masked_list(own, before, list));
    }
    Some(masked)
}

fn masked_list(after: Option<&Value>, before: Option<&Value>, list: &str) -> Map<String, Value> {
    let before = entries(before, list);
    let mut masked = entries(after, list).clone();
    for name in RESIZABLE {
        match before.get(name) {
            Some(amount) => drop(masked.insert(name.to_owned(), amount.clone())),
            None => drop(masked.remove(name)),
        }
    }
    masked
}

#[cfg(test)]
#[path = "resize_tests.rs"]
mod tests;
