//! Defaults of priority level configurations.

use k3s_meta::tree;
use serde_json::{Value, json};

pub(super) fn default(level: &mut Value) {
    tree::set_missing(level, "status", json!({}));
    if tree::text(level, "spec.type") == "Exempt" {
        tree::set_missing(level, "spec.exempt.nominalConcurrencyShares", 0);
        tree::set_missing(level, "spec.exempt.lendablePercent", 0);
    }
    if let Some(limited) = tree::get_mut(level, "spec.limited") {
        tree::set_missing(limited, "nominalConcurrencyShares", 30);
        tree::set_missing(limited, "lendablePercent", 0);
    }
    if let Some(queuing) = tree::get_mut(level, "spec.limited.limitResponse.queuing") {
        tree::set_zero(queuing, "queues", 64);
        tree::set_zero(queuing, "handSize", 8);
        tree::set_zero(queuing, "queueLengthLimit", 50);
    }
}
