//! Defaults of ingress classes.

use serde_json::Value;

use crate::tree;

/// Parameters are cluster scoped unless they say otherwise.
pub(super) fn default(class: &mut Value) {
    tree::ensure(class, "spec");
    if let Some(parameters) = tree::at_mut(class, "spec.parameters") {
        tree::set_missing(parameters, "scope", "Cluster");
    }
}
