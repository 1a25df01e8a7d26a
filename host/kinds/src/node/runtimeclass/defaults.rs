//! Canonical quantities of runtime classes.

use serde_json::Value;

use crate::quantity;

pub(super) fn default(class: &mut Value) {
    quantity::canonical_list(class, "overhead.podFixed");
}
