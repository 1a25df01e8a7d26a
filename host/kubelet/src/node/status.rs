//! The node's status as a tree, and the patch that writes what differs.

use std::net::IpAddr;

use k3s_cri::v1;
use k3s_meta::tree;
use serde_json::{Map, Value, json};

use super::info::{Machine, architecture};
use crate::config::KubeletConfig;
use crate::qos::{HUGE_PAGES, is_extended};

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
    let capacity = capacity(config, facts);
    let allocatable = allocatable(&capacity);
    let runtime = facts.runtime;
    let handlers = runtime.runtime_handlers.iter().map(handler);
    let handlers: Vec<Value> = handlers.collect();
    let features = runtime.features.unwrap_or_default();
    let fields = json!({
        "addresses": addresses(config, facts.node_ips),
        "allocatable": allocatable,
        "capacity": capacity,
        "daemonEndpoints": {
            "kubeletEndpoint": {"Port": facts.port},
        },
        "images": images(facts.images),
        "nodeInfo": node_info(config, facts),
        "runtimeHandlers": handlers,
        "features": {
            "supplementalGroupsPolicy": features.supplemental_groups_policy,
        },
    });
    match fields {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn node_info(config: &KubeletConfig, facts: &Facts<'_>) -> Value {
    let machine = facts.machine;
    json!({
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
    })
}

fn handler(handler: &v1::RuntimeHandler) -> Value {
    let features = handler.features.unwrap_or_default();
    json!({
        "name": handler.name,
        "features": {
            "recursiveReadOnlyMounts": features.recursive_read_only_mounts,
            "userNamespaces": features.user_namespaces,
        },
    })
}

fn addresses(config: &KubeletConfig, ips: &[IpAddr]) -> Vec<Value> {
    let mut all = Vec::new();
    for ip in ips {
        all.push(address("InternalIP", &ip.to_string()));
    }
    for ip in &config.external_ips {
        all.push(address("ExternalIP", &ip.to_string()));
    }
    all.push(address("Hostname", &config.node_name));
    all
}

/// What to say when the node is known by other internal addresses than it has.
pub(crate) fn address_change(before: &Value, after: &Map<String, Value>) -> Option<String> {
    let old = internal_addresses(before.get("addresses"));
    let new = internal_addresses(after.get("addresses"));
    let is_change = !old.is_empty() && old != new;
    is_change.then(|| format!("Node address changed from {old} to {new}"))
}

fn internal_addresses(list: Option<&Value>) -> String {
    let list = list.and_then(Value::as_array);
    let internal = list.into_iter().flatten();
    let internal = internal.filter(|it| tree::text(it, "type") == "InternalIP");
    let addresses: Vec<&str> = internal.map(|it| tree::text(it, "address")).collect();
    addresses.join(",")
}

fn address(kind: &str, address: &str) -> Value {
    json!({
        "type": kind,
        "address": address,
    })
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

/// What pods get: no huge pages, since this kubelet hands out none, and a scheduler that counts on
/// them would place pods here only to have them refused.
fn allocatable(capacity: &Value) -> Value {
    let mut allocatable = capacity.clone();
    for (name, amount) in allocatable.as_object_mut().into_iter().flatten() {
        if name.starts_with(HUGE_PAGES) {
            *amount = json!("0");
        }
    }
    allocatable
}

/// The status with the extended resources that others advertise by writing to the node's capacity: they
/// stay, pods may use them, and one that is taken out of the capacity goes from both (`MachineInfo` of
/// `pkg/kubelet/nodestatus/setters.go`).
pub(crate) fn with_extended(mut fields: Map<String, Value>, before: &Value) -> Map<String, Value> {
    let of = |list: &str| {
        let list = before.get(list).and_then(Value::as_object);
        let entries = list.into_iter().flatten();
        entries.filter(|(name, _)| is_extended(name))
    };
    let mut set = |list: &str, name: &String, amount: Value| {
        if let Some(Value::Object(list)) = fields.get_mut(list) {
            list.insert(name.clone(), amount);
        }
    };
    for (name, _) in of("allocatable") {
        set("allocatable", name, Value::Null);
    }
    for (name, amount) in of("capacity") {
        set("capacity", name, amount.clone());
        set("allocatable", name, amount.clone());
    }
    fields
}

fn images(images: &[v1::Image]) -> Vec<Value> {
    let mut sorted: Vec<_> = images.iter().collect();
    // A stable order, so that equal states give equal statuses.
    sorted.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.id.cmp(&b.id)));
    sorted.truncate(MAX_IMAGES);
    sorted.into_iter().map(shown_image).collect()
}

fn shown_image(image: &v1::Image) -> Value {
    let digests = image.repo_digests.iter();
    let names = digests.chain(&image.repo_tags);
    let names: Vec<&String> = names.take(MAX_IMAGE_NAMES).collect();
    json!({
        "names": names,
        "sizeBytes": image.size,
    })
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
        let old = before.get(name);
        if tree::same(old.unwrap_or(&Value::Null), value) {
            continue;
        }
        let value = match (name.as_str(), value) {
            // The API merges by type and would keep addresses that the node no longer has.
            ("addresses", Value::Array(list)) if old.is_some() => replacement(list),
            _ => value.clone(),
        };
        status.insert(name.clone(), value);
    }
    let changed = conditions_changed(before, conditions);
    if status.is_empty() && !changed && !due {
        return None;
    }
    status.insert("conditions".to_owned(), json!(conditions));
    Some(json!({ "status": status }))
}

/// The list with the directive of a strategic merge that it replaces the old one.
fn replacement(list: &[Value]) -> Value {
    let mut entries = vec![json!({"$patch": "replace"})];
    entries.extend_from_slice(list);
    Value::Array(entries)
}

fn conditions_changed(before: &Value, conditions: &[Value]) -> bool {
    let old = before.get("conditions").and_then(Value::as_array);
    let old = old.map(Vec::as_slice).unwrap_or_default();
    let is_new = |condition: &Value| {
        let mut old = old.iter();
        !old.any(|old| same_condition(old, condition))
    };
    conditions.iter().any(is_new)
}

fn same_condition(a: &Value, b: &Value) -> bool {
    let compared = ["type", "status", "reason", "message"];
    let same = |field: &str| a.get(field) == b.get(field);
    compared.into_iter().all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_that_others_advertise_stay_and_can_be_used_until_they_are_taken_back() {
        let own = json!({"cpu": "2"});
        let fields = || json!({"capacity": own, "allocatable": own});
        let fields = || fields().as_object().cloned().unwrap();
        let both = json!({"cpu": "2", "example.com/dongle": "4"});
        let advertised = json!({"capacity": both, "allocatable": own});
        let taken_in = with_extended(fields(), &advertised);
        assert_eq!(taken_in["capacity"], both);
        assert_eq!(taken_in["allocatable"], both);
        let taken_back = with_extended(fields(), &json!({"capacity": own, "allocatable": both}));
        assert_eq!(taken_back["capacity"], own);
        assert_eq!(
            taken_back["allocatable"],
            json!({"cpu": "2", "example.com/dongle": null})
        );
    }

    #[test]
    fn only_a_node_that_had_another_address_has_a_new_one() {
        let status = |ip: &str| json!({"addresses": [{"type": "InternalIP", "address": ip}, {"type": "Hostname", "address": "n"}]});
        let after = status("192.0.2.20").as_object().cloned().unwrap();
        for (before, expected) in [
            (json!({}), None),
            (status("192.0.2.20"), None),
            (
                status("192.0.2.10"),
                Some("Node address changed from 192.0.2.10 to 192.0.2.20"),
            ),
        ] {
            assert_eq!(address_change(&before, &after).as_deref(), expected);
        }
    }

    #[test]
    fn huge_pages_are_shown_and_not_offered() {
        let capacity = json!({"cpu": "2", "hugepages-2Mi": "4194304"});
        assert_eq!(
            allocatable(&capacity),
            json!({"cpu": "2", "hugepages-2Mi": "0"})
        );
    }

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
