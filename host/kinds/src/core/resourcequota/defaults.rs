//! Canonical quantities of resource quotas.

use k3s_meta::tree;
use serde_json::{Value, json};

use crate::quantity;

pub(super) fn default(quota: &mut Value) {
    tree::set_missing(quota, "spec", json!({}));
    tree::set_missing(quota, "status", json!({}));
    for list in ["spec.hard", "status.hard", "status.used"] {
        quantity::canonical_list(quota, list);
    }
}
