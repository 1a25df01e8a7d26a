//! Fields behind features that are off (`pkg/registry/coordination/lease/strategy.go`).

use k3s_meta::tree;
use serde_json::Value;

use crate::context::Context;

/// Fields of `CoordinatedLeaderElection`, which is off by default.
const COORDINATED: [&str; 2] = ["spec.strategy", "spec.preferredHolder"];

pub(super) fn prepare_create(lease: &mut Value, _: &Context<'_>) {
    for field in COORDINATED {
        tree::remove(lease, field);
    }
}

/// A lease from where the feature was on keeps its fields.
pub(super) fn prepare_update(new: &mut Value, old: &Value, _: &Context<'_>) {
    for field in COORDINATED {
        if tree::get(old, field).is_none() {
            tree::remove(new, field);
        }
    }
}
