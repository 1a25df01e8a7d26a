//! Pure: what a node should say of itself.

use k3s_meta::object::annotation;
use k3s_meta::tree;
use serde_json::{Map, Value, json};

const TAINT: &str = "node.cloudprovider.kubernetes.io/uninitialized";
/// Annotation and address type, in the order in which they are listed.
const ADDRESSES: [(&str, &str); 5] = [
    ("k3s.io/internal-ip", "InternalIP"),
    ("k3s.io/external-ip", "ExternalIP"),
    ("k3s.io/internal-dns", "InternalDNS"),
    ("k3s.io/external-dns", "ExternalDNS"),
    ("k3s.io/hostname", "Hostname"),
];

/// The status with the addresses that the annotations name; nothing where it has them, or where
/// the node has no such annotation.
pub(super) fn status(node: &Value) -> Option<Value> {
    let mut addresses = Vec::new();
    for (name, kind) in ADDRESSES {
        let listed = annotation(node, name)
            .unwrap_or("")
            .split(',')
            .map(str::trim)
            .filter(|a| !a.is_empty());
        addresses.extend(listed.map(|address| json!({"type": kind, "address": address})));
    }
    if !addresses
        .iter()
        .any(|a| tree::text(a, "type") == "InternalIP")
        || tree::list(node, "status.addresses") == addresses.as_slice()
    {
        return None;
    }
    let mut status = node.get("status").cloned().unwrap_or_else(|| json!({}));
    tree::set(&mut status, "addresses", addresses);
    Some(status)
}

/// The part of the spec to change, and whether that makes the node initialized.
pub(super) fn spec(node: &Value, name: &str) -> Option<(Value, bool)> {
    let mut patch = Map::new();
    if tree::text(node, "spec.providerID").is_empty() {
        patch.insert("providerID".into(), format!("k3s://{name}").into());
    }
    let taints = tree::list(node, "spec.taints");
    let rest: Vec<&Value> = taints
        .iter()
        .filter(|t| tree::text(t, "key") != TAINT)
        .collect();
    let initialized =
        rest.len() != taints.len() && !tree::list(node, "status.addresses").is_empty();
    if initialized {
        patch.insert("taints".into(), json!(rest));
    }
    (!patch.is_empty()).then_some((Value::Object(patch), initialized))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_provider_and_taint_follow_the_annotations() {
        let mut node = json!({"metadata": {"annotations": {"k3s.io/internal-ip": "10.0.0.1,fd00::1", "k3s.io/hostname": "n"}},
            "spec": {"taints": [{"key": TAINT, "effect": "NoSchedule"}, {"key": "other", "effect": "NoSchedule"}]}, "status": {"capacity": {}}});
        assert_eq!(
            spec(&node, "n").unwrap().0,
            json!({"providerID": "k3s://n"}),
            "no address yet: the taint stays"
        );
        let status = status(&node).unwrap();
        assert_eq!(
            status["addresses"][1],
            json!({"type": "InternalIP", "address": "fd00::1"})
        );
        node["status"] = status;
        assert!(super::status(&node).is_none());
        let (patch, initialized) = spec(&node, "n").unwrap();
        assert!(initialized);
        assert_eq!(
            patch["taints"],
            json!([{"key": "other", "effect": "NoSchedule"}])
        );
        node["spec"] = json!({"providerID": "k3s://n", "taints": []});
        assert!(spec(&node, "n").is_none());
    }
}
