//! Defaults of persistent volume claims.

use k3s_meta::tree;
use serde_json::{Value, json};

use crate::quantity;

/// A claim is pending until it is bound.
pub(crate) fn default(claim: &mut Value) {
    tree::set_zero(claim, "status.phase", "Pending");
    quantity::canonical_list(claim, "status.capacity");
    quantity::canonical_list(claim, "status.allocatedResources");
    tree::ensure(claim, "spec");
    if let Some(spec) = tree::get_mut(claim, "spec") {
        default_spec(spec);
    }
}

/// Defaults of a claim's spec, also of one in a template.
pub(crate) fn default_spec(spec: &mut Value) {
    tree::set_missing(spec, "volumeMode", "Filesystem");
    tree::set_missing(spec, "resources", json!({}));
    quantity::canonical_requirements(spec, "resources");
}
