//! Defaults of endpoint slices.

use k3s_meta::tree;
use serde_json::Value;

pub(super) fn default(slice: &mut Value) {
    for port in tree::each_mut(slice, "ports") {
        tree::set_missing(port, "name", "");
        tree::set_missing(port, "protocol", "TCP");
    }
}
