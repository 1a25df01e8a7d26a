//! Defaults of flow schemas.

use serde_json::{Value, json};

use crate::tree;

pub(super) fn default(schema: &mut Value) {
    tree::set_missing(schema, "status", json!({}));
    tree::set_zero(schema, "spec.matchingPrecedence", 1000);
}
