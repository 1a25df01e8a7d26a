//! Defaults of network policies.

use k3s_meta::tree;
use serde_json::{Value, json};

/// A policy isolates ingress, and egress when it has egress rules.
pub(super) fn default(policy: &mut Value) {
    tree::ensure(policy, "spec");
    let Some(spec) = tree::get_mut(policy, "spec") else {
        return;
    };
    tree::set_missing(spec, "podSelector", json!({}));
    for rules in ["ingress", "egress"] {
        for rule in tree::each_mut(spec, rules) {
            for port in tree::each_mut(rule, "ports") {
                tree::set_missing(port, "protocol", "TCP");
            }
        }
    }
    if !tree::has(spec, "policyTypes") {
        let types = if tree::has(spec, "egress") {
            json!(["Ingress", "Egress"])
        } else {
            json!(["Ingress"])
        };
        tree::set(spec, "policyTypes", types);
    }
}
