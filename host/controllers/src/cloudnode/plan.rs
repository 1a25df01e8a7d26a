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
        let listed = annotation(node, name).unwrap_or("");
        for address in listed.split(',') {
            let address = address.trim();
            if address.is_empty() {
                continue;
            }
            addresses.push(json!({
                "type": kind,
                "address": address,
            }));
        }
    }
    let has_internal = addresses
        .iter()
        .any(|address| tree::text(address, "type") == "InternalIP");
    let present = tree::list(node, "status.addresses");
    if !has_internal || present == addresses.as_slice() {
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
        let id = format!("k3s://{name}");
        patch.insert("providerID".into(), id.into());
    }
    let has_addresses = !tree::list(node, "status.addresses").is_empty();
    let mut is_tainted = false;
    let mut rest = Vec::new();
    for taint in tree::list(node, "spec.taints") {
        if tree::text(taint, "key") == TAINT {
            is_tainted = true;
        } else {
            rest.push(taint.clone());
        }
    }
    let initialized = is_tainted && has_addresses;
    if initialized {
        patch.insert("taints".into(), rest.into());
    }
    if patch.is_empty() {
        return None;
    }
    Some((Value::Object(patch), initialized))
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
