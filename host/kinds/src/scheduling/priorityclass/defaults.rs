//! Defaults of priority classes.

use k3s_meta::tree;
use serde_json::Value;

pub(super) fn default(class: &mut Value) {
    tree::set_missing(class, "value", 0);
    tree::set_missing(class, "preemptionPolicy", "PreemptLowerPriority");
}
