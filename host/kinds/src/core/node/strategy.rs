//! What may be set of a node. Kubelets no longer take their configuration from the API: a new object has no
//! source of it, and a step brings none.

use k3s_meta::tree;
use serde_json::Value;

use crate::context::Context;

pub(super) fn prepare_create(node: &mut Value, _: &Context<'_>) {
    tree::remove(node, "spec.configSource");
    tree::remove(node, "status.config");
}

pub(super) fn prepare_update(new: &mut Value, old: &Value, _: &Context<'_>) {
    if tree::get(old, "spec.configSource").is_none() {
        tree::remove(new, "spec.configSource");
    }
}

pub(super) fn prepare_status_update(new: &mut Value, old: &Value, _: &Context<'_>) {
    if tree::get(old, "status.config").is_none() {
        tree::remove(new, "status.config");
    }
}
