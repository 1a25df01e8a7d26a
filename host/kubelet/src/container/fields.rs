//! Downward API: values of the pod's own fields and resources, for environment and volumes
//! (`pkg/fieldpath`, `pkg/api/v1/resource`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};

use crate::pod::model;
use crate::pod::qos::{Amounts, limits, milli, requests, whole};

/// What the node adds to the pod's own fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeContext {
    pub(crate) node_ips: Vec<String>,
    pub(crate) pod_ips: Vec<String>,
    /// A limit that a container does not set is the node's.
    pub(crate) allocatable: Amounts,
}

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
    let meta = &pod.metadata;
    let spec = pod.spec.as_ref();
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.labels" => meta.labels.as_ref(),
            "metadata.annotations" => meta.annotations.as_ref(),
            _ => return Err(FieldError::Subscript(path.to_owned())),
        };
        return Ok(map.and_then(|m| m.get(key)).cloned().unwrap_or_default());
    }
    let text = |value: Option<&String>| value.cloned().unwrap_or_default();
    Ok(match path {
        "metadata.name" => text(meta.name.as_ref()),
        "metadata.namespace" => text(meta.namespace.as_ref()),
        "metadata.uid" => text(meta.uid.as_ref()),
        "metadata.labels" => format_map(meta.labels.as_ref()),
        "metadata.annotations" => format_map(meta.annotations.as_ref()),
        "spec.nodeName" => text(spec.and_then(|s| s.node_name.as_ref())),
        "spec.serviceAccountName" => text(spec.and_then(|s| s.service_account_name.as_ref())),
        "status.hostIP" => text(node.node_ips.first()),
        "status.hostIPs" => node.node_ips.join(","),
        "status.podIP" => text(node.pod_ips.first()),
        "status.podIPs" => node.pod_ips.join(","),
        _ => return Err(FieldError::Field(path.to_owned())),
    })
}

fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

/// `key="escaped value"` per line, sorted.
fn format_map(map: Option<&BTreeMap<String, String>>) -> String {
    let line = |(key, value): (&String, &String)| format!("{key}={}", quoted(value));
    map.map(|m| m.iter().map(line).collect::<Vec<_>>().join("\n"))
        .unwrap_or_default()
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
    let named = selector.container_name.as_deref().filter(|n| !n.is_empty());
    let spec = pod.spec.as_ref();
    let found = match named {
        Some(name) => spec.and_then(|s| {
            model::all_containers(s)
                .map(|(_, c)| c)
                .find(|c| c.name == name)
        }),
        None => own,
    };
    let container =
        found.ok_or_else(|| FieldError::Container(named.unwrap_or_default().to_owned()))?;
    let or_node = |limit: i64, node: i64| if limit == 0 { node } else { limit };
    let allocatable = &node.allocatable;
    let (limit, request) = (limits(container), requests(container));
    let (amount, scale) = match selector.resource.as_str() {
        "limits.cpu" => (or_node(limit.milli_cpu, allocatable.milli_cpu), 1000),
        "requests.cpu" => (request.milli_cpu, 1000),
        "limits.memory" => (or_node(limit.memory_bytes, allocatable.memory_bytes), 1),
        "requests.memory" => (request.memory_bytes, 1),
        "limits.ephemeral-storage" => (
            or_node(limit.ephemeral_bytes, allocatable.ephemeral_bytes),
            1,
        ),
        "requests.ephemeral-storage" => (request.ephemeral_bytes, 1),
        other => return Err(FieldError::Resource(other.to_owned())),
    };
    let divisor = selector
        .divisor
        .as_ref()
        .map_or(0, |d| if scale == 1000 { milli(d) } else { whole(d) });
    let divisor = if divisor == 0 { scale } else { divisor };
    Ok(((amount + divisor - 1) / divisor).to_string())
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
