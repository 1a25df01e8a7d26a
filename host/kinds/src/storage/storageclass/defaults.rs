//! Defaults of storage classes.

use k3s_meta::tree;
use serde_json::Value;

pub(super) fn default(class: &mut Value) {
    tree::set_missing(class, "reclaimPolicy", "Delete");
    tree::set_missing(class, "volumeBindingMode", "Immediate");
}
