//! Downward API: values of the pod's own fields and resources, for environment and volumes
//! (`pkg/fieldpath`, `pkg/api/v1/resource`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceFieldSelector};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::model;
use crate::qos::{Amounts, limits, milli, requests, whole};

/// What the node adds to the pod's own fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeContext {
    pub(crate) node_ips: Vec<String>,
    pub(crate) pod_ips: Vec<String>,
    /// A limit that a container does not set is the node's.
    pub(crate) allocatable: Amounts,
}

/// CPU is counted in thousandths.
const MILLI: i64 = 1000;

/// Why a field or resource has no value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FieldError {
    #[error("fieldPath \"{0}\" does not support subscript")]
    Subscript(String),
    #[error("unsupported fieldPath: {0}")]
    Field(String),
    #[error("container {0} not found")]
    Container(String),
    #[error("unsupported container resource : {0}")]
    Resource(String),
}

/// The value of `spec.nodeName`, `metadata.labels['x']` and so on.
pub(crate) fn field_value(pod: &Pod, node: &NodeContext, path: &str) -> Result<String, FieldError> {
    if let Some((map, key)) = subscript(path) {
        return entry(&pod.metadata, map, key)
            .ok_or_else(|| FieldError::Subscript(path.to_owned()));
    }
    let value = match path.split_once('.') {
        Some(("metadata", field)) => metadata_value(&pod.metadata, field),
        Some(("spec", field)) => spec_value(pod.spec.as_ref(), field),
        Some(("status", field)) => status_value(node, field),
        _ => None,
    };
    value.ok_or_else(|| FieldError::Field(path.to_owned()))
}

/// An entry of the labels or annotations; empty where the map lacks the key.
fn entry(meta: &ObjectMeta, map: &str, key: &str) -> Option<String> {
    let map = match map {
        "metadata.labels" => meta.labels.as_ref(),
        "metadata.annotations" => meta.annotations.as_ref(),
        _ => return None,
    };
    let value = map.and_then(|map| map.get(key));
    Some(text(value))
}

fn metadata_value(meta: &ObjectMeta, field: &str) -> Option<String> {
    let value = match field {
        "name" => text(meta.name.as_ref()),
        "namespace" => text(meta.namespace.as_ref()),
        "uid" => text(meta.uid.as_ref()),
        "labels" => format_map(meta.labels.as_ref()),
        "annotations" => format_map(meta.annotations.as_ref()),
        _ => return None,
    };
    Some(value)
}

fn spec_value(spec: Option<&PodSpec>, field: &str) -> Option<String> {
    let value = match field {
        "nodeName" => spec.and_then(|s| s.node_name.as_ref()),
        "serviceAccountName" => spec.and_then(|s| s.service_account_name.as_ref()),
        _ => return None,
    };
    Some(text(value))
}

fn status_value(node: &NodeContext, field: &str) -> Option<String> {
    let value = match field {
        "hostIP" => text(node.node_ips.first()),
        "hostIPs" => node.node_ips.join(","),
        "podIP" => text(node.pod_ips.first()),
        "podIPs" => node.pod_ips.join(","),
        _ => return None,
    };
    Some(value)
}

fn text(value: Option<&String>) -> String {
    value.cloned().unwrap_or_default()
}

fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

/// `key="escaped value"` per line, sorted.
fn format_map(map: Option<&BTreeMap<String, String>>) -> String {
    let Some(map) = map else {
        return String::new();
    };
    let lines: Vec<String> = map
        .iter()
        .map(|(key, value)| format!("{key}={}", quoted(value)))
        .collect();
    lines.join("\n")
}

/// Go's `%q` for the characters that occur in practice.
fn quoted(value: &str) -> String {
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The value of a `resourceFieldRef`, divided and rounded up. A limit that is not set is the node's
/// allocatable amount.
pub(crate) fn resource_value(
    pod: &Pod,
    own: Option<&Container>,
    node: &NodeContext,
    selector: &ResourceFieldSelector,
) -> Result<String, FieldError> {
    let name = selector.container_name.as_deref().unwrap_or_default();
    let found = if name.is_empty() {
        own
    } else {
        named(pod, name)
    };
    let Some(container) = found else {
        return Err(FieldError::Container(name.to_owned()));
    };
    let (amount, scale) = amount(container, &node.allocatable, &selector.resource)?;
    let divisor = match &selector.divisor {
        Some(divisor) if scale == MILLI => milli(divisor),
        Some(divisor) => whole(divisor),
        None => 0,
    };
    let divisor = if divisor == 0 { scale } else { divisor };
    let rounded_up = (amount + divisor - 1) / divisor;
    Ok(rounded_up.to_string())
}

fn named<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    let spec = pod.spec.as_ref()?;
    let containers = model::all_containers(spec);
    containers
        .map(|(_, container)| container)
        .find(|container| container.name == name)
}

/// A resource's amount, and how many of its units are one.
fn amount(
    container: &Container,
    allocatable: &Amounts,
    resource: &str,
) -> Result<(i64, i64), FieldError> {
    let limit = limits(container);
    let request = requests(container);
    let found = match resource {
        "limits.cpu" => {
            let cpu = or_node(limit.milli_cpu, allocatable.milli_cpu);
            (cpu, MILLI)
        }
        "requests.cpu" => (request.milli_cpu, MILLI),
        "limits.memory" => {
            let memory = or_node(limit.memory_bytes, allocatable.memory_bytes);
            (memory, 1)
        }
        "requests.memory" => (request.memory_bytes, 1),
        "limits.ephemeral-storage" => {
            let storage = or_node(limit.ephemeral_bytes, allocatable.ephemeral_bytes);
            (storage, 1)
        }
        "requests.ephemeral-storage" => (request.ephemeral_bytes, 1),
        other => return Err(FieldError::Resource(other.to_owned())),
    };
    Ok(found)
}

fn or_node(limit: i64, node: i64) -> i64 {
    if limit == 0 { node } else { limit }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "labels": {"b": "2", "a": "x\"y"}},
            "spec": {"nodeName": "node", "containers": [{"name": "c", "resources": {"requests": {"cpu": "250m"}}}]}}))
        .unwrap()
    }

    #[test]
    fn fields_and_subscripts() {
        let facts = NodeContext {
            pod_ips: vec!["10.0.0.1".into()],
            ..NodeContext::default()
        };
        assert_eq!(
            field_value(&pod(), &facts, "metadata.labels['b']").unwrap(),
            "2"
        );
        assert_eq!(
            field_value(&pod(), &facts, "metadata.labels").unwrap(),
            "a=\"x\\\"y\"\nb=\"2\""
        );
        assert_eq!(
            field_value(&pod(), &facts, "status.podIP").unwrap(),
            "10.0.0.1"
        );
        assert!(field_value(&pod(), &facts, "spec.nope").is_err());
    }

    #[test]
    fn cpu_is_rounded_up_and_missing_limits_are_the_nodes() {
        let facts = NodeContext {
            allocatable: Amounts {
                milli_cpu: 4000,
                ..Amounts::default()
            },
            ..NodeContext::default()
        };
        let pod = pod();
        let own = &pod.spec.as_ref().unwrap().containers[0];
        let of = |resource: &str| {
            let selector = ResourceFieldSelector {
                resource: resource.into(),
                ..Default::default()
            };
            resource_value(&pod, Some(own), &facts, &selector).unwrap()
        };
        assert_eq!(
            (of("requests.cpu"), of("limits.cpu")),
            ("1".into(), "4".into())
        );
    }
}
