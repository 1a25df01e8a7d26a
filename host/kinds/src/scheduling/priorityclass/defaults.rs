//! Defaults of priority classes.

use serde_json::Value;

use crate::tree;

pub(super) fn default(class: &mut Value) {
    tree::set_missing(class, "value", 0);
    tree::set_missing(class, "preemptionPolicy", "PreemptLowerPriority");
}
