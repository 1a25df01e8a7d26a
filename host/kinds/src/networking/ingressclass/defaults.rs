//! Defaults of ingress classes.

use k3s_meta::tree;
use serde_json::Value;

/// Parameters are cluster scoped unless they say otherwise.
pub(super) fn default(class: &mut Value) {
    tree::ensure(class, "spec");
    if let Some(parameters) = tree::get_mut(class, "spec.parameters") {
        tree::set_missing(parameters, "scope", "Cluster");
    }
}
