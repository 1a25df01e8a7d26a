//! Defaults of limit ranges.

use k3s_meta::tree;
use serde_json::Value;

use crate::quantity;

/// For containers, a maximum is the default limit, and a default limit or a minimum the default request.
pub(super) fn default(range: &mut Value) {
    for item in tree::each_mut(range, "spec.limits") {
        for list in [
            "max",
            "min",
            "default",
            "defaultRequest",
            "maxLimitRequestRatio",
        ] {
            quantity::canonical_list(item, list);
        }
        if tree::text(item, "type") == "Container" {
            fill(item, "default", "max");
            fill(item, "defaultRequest", "default");
            fill(item, "defaultRequest", "min");
        }
    }
}

fn fill(item: &mut Value, target: &str, source: &str) {
    let amounts = tree::map(item, source).clone();
    if amounts.is_empty() {
        return;
    }
    if let Some(target) = tree::ensure(item, target) {
        for (name, amount) in amounts {
            target.entry(name).or_insert(amount);
        }
    }
}
