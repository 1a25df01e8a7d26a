//! What a new API service has from the start (`kube-aggregator/pkg/registry/apiservice/strategy.go`).

use k3s_meta::tree;
use serde_json::{Value, json};

use crate::context::Context;

/// A group and version that this server serves itself is available.
pub(super) fn prepare_create(service: &mut Value, context: &Context<'_>) {
    if tree::has(service, "spec.service") {
        return;
    }
    let available = json!({
        "type": "Available",
        "status": "True",
        "lastTransitionTime": context.time_stamp(),
        "reason": "Local",
        "message": "Local APIServices are always available",
    });
    tree::set(service, "status.conditions", json!([available]));
}
