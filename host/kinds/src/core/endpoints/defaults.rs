//! Defaults of endpoints.

use k3s_meta::tree;
use serde_json::Value;

/// Ports speak TCP unless they say otherwise.
pub(super) fn default(endpoints: &mut Value) {
    for subset in tree::each_mut(endpoints, "subsets") {
        for port in tree::each_mut(subset, "ports") {
            tree::set_zero(port, "protocol", "TCP");
        }
    }
}
