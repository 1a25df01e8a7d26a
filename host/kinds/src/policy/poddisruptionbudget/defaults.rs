//! Zero values that every disruption budget shows.

use k3s_meta::tree;
use serde_json::Value;

pub(super) fn default(budget: &mut Value) {
    for field in [
        "currentHealthy",
        "desiredHealthy",
        "disruptionsAllowed",
        "expectedPods",
    ] {
        tree::set_missing(budget, &format!("status.{field}"), 0);
    }
}
