//! Defaults of storage classes.

use serde_json::Value;

use crate::tree;

pub(super) fn default(class: &mut Value) {
    tree::set_missing(class, "reclaimPolicy", "Delete");
    tree::set_missing(class, "volumeBindingMode", "Immediate");
}
