//! Rules of roles.

use serde_json::{Value, json};

use crate::tree;

/// The list is shown even when it is empty.
pub(super) fn default(role: &mut Value) {
    tree::set_missing(role, "rules", json!([]));
}
