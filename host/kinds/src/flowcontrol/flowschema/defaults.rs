//! Defaults of flow schemas.

use k3s_meta::tree;
use serde_json::{Value, json};

pub(super) fn default(schema: &mut Value) {
    tree::set_missing(schema, "status", json!({}));
    tree::set_zero(schema, "spec.matchingPrecedence", 1000);
}
