//! The Node object: made once, then its labels and annotations kept as configured.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k3s_client::{Client, Object, Patch, resources};
use k3s_meta::tree;
use serde_json::{Map, Value, json};

use super::info::architecture;
use crate::config::KubeletConfig;

/// Labels the node keeps set to these values.
pub(crate) fn labels(config: &KubeletConfig) -> BTreeMap<String, String> {
    let arch = architecture();
    let mut labels: BTreeMap<String, String> = [
        ("beta.kubernetes.io/arch", arch),
        ("beta.kubernetes.io/instance-type", "k3s"),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", arch),
        ("kubernetes.io/hostname", &config.node_name),
        ("kubernetes.io/os", "linux"),
        ("node.kubernetes.io/instance-type", "k3s"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    labels.extend(config.labels.clone());
    labels
}

/// Annotations the node keeps set.
pub(crate) fn annotations(config: &KubeletConfig, node_ips: &[IpAddr]) -> BTreeMap<String, String> {
    let join = |ips: &[IpAddr]| {
        ips.iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",")
    };
    let mut annotations = config.annotations.clone();
    annotations.insert("k3s.io/hostname".to_owned(), config.node_name.clone());
    annotations.insert("k3s.io/internal-ip".to_owned(), join(node_ips));
    if !config.external_ips.is_empty() {
        annotations.insert("k3s.io/external-ip".to_owned(), join(&config.external_ips));
    }
    annotations.insert("node.alpha.kubernetes.io/ttl".to_owned(), "0".to_owned());
    annotations.insert(
        "volumes.kubernetes.io/controller-managed-attach-detach".to_owned(),
        "true".to_owned(),
    );
    annotations
}

/// A `key=value:Effect` or `key:Effect` taint.
fn taint(text: &str) -> Option<Value> {
    let (head, effect) = text.rsplit_once(':')?;
    Some(match head.split_once('=') {
        Some((key, value)) => json!({"key": key, "value": value, "effect": effect}),
        None => json!({"key": head, "effect": effect}),
    })
}

/// The object as first registered.
pub(crate) fn new_node(
    config: &KubeletConfig,
    node_ips: &[IpAddr],
    status: &Map<String, Value>,
    conditions: &[Value],
) -> Value {
    let mut status = status.clone();
    status.insert("conditions".to_owned(), json!(conditions));
    let mut spec = Map::new();
    spec.insert("providerID".to_owned(), json!(provider_id(config)));
    let taints = config.taints.iter();
    let taints: Vec<Value> = taints.filter_map(|text| taint(text)).collect();
    if !taints.is_empty() {
        spec.insert("taints".to_owned(), Value::Array(taints));
    }
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": config.node_name,
            "labels": labels(config),
            "annotations": annotations(config, node_ips),
        },
        "spec": spec,
        "status": status,
    })
}

fn provider_id(config: &KubeletConfig) -> String {
    format!("k3s://{}", config.node_name)
}

/// The merge patch that brings an existing Node to the configured labels, annotations and provider
/// id; `None` when nothing differs.
pub(crate) fn reconcile(
    config: &KubeletConfig,
    node_ips: &[IpAddr],
    node: &Value,
) -> Option<Value> {
    let labels = differing(node, "labels", labels(config));
    let annotations = differing(node, "annotations", annotations(config, node_ips));
    let no_provider = tree::text(node, "spec.providerID").is_empty();
    if labels.is_empty() && annotations.is_empty() && !no_provider {
        return None;
    }
    let mut patch = Map::new();
    let metadata = json!({
        "labels": labels,
        "annotations": annotations,
    });
    patch.insert("metadata".to_owned(), metadata);
    if no_provider {
        let spec = json!({"providerID": provider_id(config)});
        patch.insert("spec".to_owned(), spec);
    }
    Some(Value::Object(patch))
}

/// The wanted entries of a map in the metadata that the node has not.
fn differing(node: &Value, field: &str, wanted: BTreeMap<String, String>) -> Map<String, Value> {
    let meta = node.get("metadata");
    let present = meta.and_then(|meta| meta.get(field));
    let mut entries = Map::new();
    for (key, value) in wanted {
        let old = present.and_then(|map| map.get(&key));
        if old.and_then(Value::as_str) != Some(&value) {
            entries.insert(key, Value::String(value));
        }
    }
    entries
}

/// Sets the role label. NodeRestriction denies it to the node itself, so the server passes a client
/// of its own.
pub(crate) async fn set_role(client: &Client, node: &Object) -> Result<(), k3s_client::Error> {
    const ROLE: &str = "node-role.kubernetes.io/control-plane";
    if node.label(ROLE) == Some("true") {
        return Ok(());
    }
    let patch = Patch::Merge(json!({"metadata": {"labels": {ROLE: "true"}}}));
    client
        .patch(&resources::NODES, None, node.name(), &patch)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_node_needs_no_reconciling() {
        let mut config = KubeletConfig::new("n1", "v1.36.0+k3s1");
        config.taints = vec!["a=b:NoSchedule".into(), "c:NoExecute".into()];
        let node = new_node(&config, &["10.0.0.1".parse().unwrap()], &Map::new(), &[]);
        assert_eq!(
            node["spec"]["taints"][0],
            json!({"key": "a", "value": "b", "effect": "NoSchedule"})
        );
        assert_eq!(node["spec"]["providerID"], "k3s://n1");
        assert_eq!(
            reconcile(&config, &["10.0.0.1".parse().unwrap()], &node),
            None
        );
        config.labels.insert("x".into(), "y".into());
        let patch = reconcile(&config, &["10.0.0.1".parse().unwrap()], &node).unwrap();
        assert_eq!(patch["metadata"]["labels"], json!({"x": "y"}));
    }
}
