//! Defaults that a pod has beyond those of its spec in a template (`SetDefaults_Pod`).

use k3s_meta::tree;
use k3s_objects::PodSpec;
use k3s_objects::resources::is_pod_level_resource;
use serde_json::{Map, Value, json};

use super::resources::is_overcommit_allowed;
use crate::core::podspec::defaults::pod_spec;

/// Fills in what a new pod leaves open.
pub(crate) fn default(pod: &mut Value) {
    tree::ensure(pod, "spec");
    if let Some(spec) = tree::get_mut(pod, "spec") {
        pod_spec(spec);
        for list in ["containers", "initContainers"] {
            tree::each_mut(spec, list).for_each(requests_from_limits);
        }
        pod_level(spec);
        tree::set_missing(spec, "enableServiceLinks", true);
        if tree::flag(spec, "hostNetwork") {
            host_ports(spec);
        }
    }
    tree::set_missing(pod, "status", json!({}));
    addresses(pod);
}

/// Both spellings of the addresses agree: the older one, where it is given, is what counts
/// (`Convert_v1_PodStatus_To_core_PodStatus`).
fn addresses(pod: &mut Value) {
    let only = tree::text(pod, "status.podIP").to_owned();
    let first = tree::list(pod, "status.podIPs").first();
    match first.map(|first| tree::text(first, "ip").to_owned()) {
        Some(first) if first == only => {}
        None if only.is_empty() => {}
        Some(first) if only.is_empty() => tree::set(pod, "status.podIP", first),
        _ => tree::set(pod, "status.podIPs", json!([{"ip": only}])),
    }
}

/// A limit without a request is a request of the same amount.
fn requests_from_limits(container: &mut Value) {
    let limits = tree::map(container, "resources.limits").clone();
    if limits.is_empty() {
        return;
    }
    if let Some(requests) = tree::ensure(container, "resources.requests") {
        for (name, amount) in limits {
            requests.entry(name).or_insert(amount);
        }
    }
}

/// With the host's network, a container port is a port of the host.
fn host_ports(spec: &mut Value) {
    for list in ["containers", "initContainers"] {
        for container in tree::each_mut(spec, list) {
            for port in tree::each_mut(container, "ports") {
                if let Some(number) = tree::int(port, "containerPort") {
                    tree::set_zero(port, "hostPort", number);
                }
            }
        }
    }
}

/// Requests and limits of the pod as a whole (KEP-2837), derived only when one of them is set.
fn pod_level(spec: &mut Value) {
    let limits = tree::map(spec, "resources.limits").clone();
    let requests = tree::map(spec, "resources.requests").clone();
    if !limits.is_empty() {
        let mut derived = requests;
        for (name, amount) in PodSpec::resources_from_value(spec).container_requests() {
            if is_pod_level_resource(&name) && is_overcommit_allowed(&name) {
                derived
                    .entry(name)
                    .or_insert_with(|| Value::String(amount.to_string()));
            }
        }
        for (name, amount) in limits
            .into_iter()
            .filter(|(name, _)| is_pod_level_resource(name))
        {
            derived.entry(name).or_insert(amount);
        }
        tree::set(spec, "resources.requests", derived);
    } else if !requests.is_empty() {
        pod_level_limits(spec);
    }
}

fn pod_level_limits(spec: &mut Value) {
    let derived: Map<String, Value> = PodSpec::resources_from_value(spec)
        .container_limits()
        .into_iter()
        .filter(|(name, _)| {
            is_pod_level_resource(name) && is_overcommit_allowed(name) && all_limited(spec, name)
        })
        .map(|(name, amount)| (name, Value::String(amount.to_string())))
        .collect();
    if !derived.is_empty() {
        tree::set(spec, "resources.limits", derived);
    }
}

fn all_limited(spec: &Value, resource: &str) -> bool {
    ["containers", "initContainers"]
        .iter()
        .flat_map(|list| tree::list(spec, list))
        .all(|container| tree::map(container, "resources.limits").contains_key(resource))
}
