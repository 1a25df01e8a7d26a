//! The node's status as a tree, and the patch that writes what differs.

use std::net::IpAddr;

use k3s_cri::v1;
use serde_json::{Map, Value, json};

use super::info::{Machine, architecture};
use crate::config::KubeletConfig;

/// Images named in the status (`--node-status-max-images`), and names per image.
const MAX_IMAGES: usize = 50;
const MAX_IMAGE_NAMES: usize = 5;

/// Inputs besides the configuration.
pub(crate) struct Facts<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) node_ips: &'a [IpAddr],
    pub(crate) disk_bytes: u64,
    /// `containerd://2.1` style.
    pub(crate) runtime_version: &'a str,
    pub(crate) runtime: &'a v1::StatusResponse,
    pub(crate) images: &'a [v1::Image],
    pub(crate) port: u16,
}

/// Everything but conditions.
pub(crate) fn status(config: &KubeletConfig, facts: &Facts<'_>) -> Map<String, Value> {
    let machine = facts.machine;
    let capacity = capacity(config, facts);
    let fields = json!({
        "addresses": addresses(config, facts.node_ips),
        "allocatable": capacity,
        "capacity": capacity,
        "daemonEndpoints": {"kubeletEndpoint": {"Port": facts.port}},
        "images": images(facts.images),
        "nodeInfo": {
            "architecture": architecture(),
            "bootID": machine.boot_id,
            "containerRuntimeVersion": facts.runtime_version,
            "kernelVersion": machine.kernel_version,
            "kubeProxyVersion": "",
            "kubeletVersion": config.version,
            "machineID": machine.machine_id,
            "operatingSystem": "linux",
            "osImage": machine.os_image,
            "systemUUID": machine.system_uuid,
        },
        "runtimeHandlers": facts.runtime.runtime_handlers.iter().map(handler).collect::<Vec<_>>(),
        "features": {"supplementalGroupsPolicy": facts.runtime.features.as_ref().is_some_and(|f| f.supplemental_groups_policy)},
    });
    match fields {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn handler(handler: &v1::RuntimeHandler) -> Value {
    let features = handler.features.unwrap_or_default();
    json!({"name": handler.name, "features": {
        "recursiveReadOnlyMounts": features.recursive_read_only_mounts, "userNamespaces": features.user_namespaces}})
}

fn addresses(config: &KubeletConfig, ips: &[IpAddr]) -> Vec<Value> {
    let list = |kind: &'static str, ips: &[IpAddr]| -> Vec<Value> {
        ips.iter()
            .map(|ip| json!({"type": kind, "address": ip.to_string()}))
            .collect()
    };
    let mut all = list("InternalIP", ips);
    all.extend(list("ExternalIP", &config.external_ips));
    all.push(json!({"type": "Hostname", "address": config.node_name}));
    all
}

fn capacity(config: &KubeletConfig, facts: &Facts<'_>) -> Value {
    let machine = facts.machine;
    let mut capacity = json!({
        "cpu": machine.cpus.to_string(),
        "memory": format!("{}Ki", machine.memory_bytes / 1024),
        "pods": config.max_pods.to_string(),
        "ephemeral-storage": format!("{}Ki", facts.disk_bytes / 1024),
    });
    if let Some(map) = capacity.as_object_mut() {
        for (name, bytes) in &machine.hugepages {
            map.insert(name.clone(), json!(bytes.to_string()));
        }
    }
    capacity
}

fn images(images: &[v1::Image]) -> Vec<Value> {
    let mut sorted: Vec<_> = images.iter().collect();
    // A stable order, so that equal states give equal statuses.
    sorted.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.id.cmp(&b.id)));
    sorted
        .into_iter()
        .take(MAX_IMAGES)
        .map(|image| {
            let names: Vec<_> = image
                .repo_digests
                .iter()
                .chain(&image.repo_tags)
                .take(MAX_IMAGE_NAMES)
                .collect();
            json!({"names": names, "sizeBytes": image.size})
        })
        .collect()
}

/// The strategic merge patch from `before` to `after`; `None` when nothing but heartbeats differs.
pub(crate) fn patch(
    before: &Value,
    after: &Map<String, Value>,
    conditions: &[Value],
    due: bool,
) -> Option<Value> {
    let mut status = Map::new();
    for (name, value) in after {
        if before.get(name) == Some(value) || (before.get(name).is_none() && is_empty(value)) {
            continue;
        }
        let value = match (name.as_str(), value) {
            // The API merges by type and would keep addresses that the node no longer has.
            ("addresses", Value::Array(list)) if before.get(name).is_some() => {
                let replace = [json!({"$patch": "replace"})];
                Value::Array(replace.into_iter().chain(list.iter().cloned()).collect())
            }
            _ => value.clone(),
        };
        status.insert(name.clone(), value);
    }
    let old = before
        .get("conditions")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let changed = conditions
        .iter()
        .any(|c| !old.iter().any(|o| same_condition(o, c)));
    if status.is_empty() && !changed && !due {
        return None;
    }
    status.insert("conditions".to_owned(), Value::Array(conditions.to_vec()));
    Some(json!({ "status": status }))
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

fn same_condition(a: &Value, b: &Value) -> bool {
    ["type", "status", "reason", "message"]
        .iter()
        .all(|field| a.get(*field) == b.get(*field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_alone_are_not_written_until_due() {
        let after: Map<String, Value> = [("nodeInfo".to_owned(), json!({"a": 1}))]
            .into_iter()
            .collect();
        let condition = |beat: &str| json!({"type": "Ready", "status": "True", "reason": "r", "message": "m", "lastHeartbeatTime": beat});
        let before = json!({"nodeInfo": {"a": 1}, "conditions": [condition("1")]});
        assert_eq!(patch(&before, &after, &[condition("2")], false), None);
        assert!(patch(&before, &after, &[condition("2")], true).is_some());
        let gone = json!({"conditions": [condition("1")]});
        assert_eq!(
            patch(&gone, &after, &[condition("2")], false).unwrap()["status"]["nodeInfo"]["a"],
            1
        );
    }
}
