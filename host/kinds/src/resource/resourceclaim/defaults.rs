//! Defaults of resource claims.

use k3s_meta::tree;
use serde_json::{Value, json};

pub(super) fn default(claim: &mut Value) {
    tree::set_missing(claim, "status", json!({}));
    default_requests(claim, "spec");
}

/// Defaults of the device requests below `path`.
pub(crate) fn default_requests(object: &mut Value, path: &str) {
    for request in tree::each_mut(object, &format!("{path}.devices.requests")) {
        if let Some(exactly) = tree::get_mut(request, "exactly") {
            single(exactly);
        }
        tree::each_mut(request, "firstAvailable").for_each(single);
    }
}

fn single(request: &mut Value) {
    tree::set_zero(request, "allocationMode", "ExactCount");
    if tree::text(request, "allocationMode") == "ExactCount" {
        tree::set_zero(request, "count", 1);
    }
    for toleration in tree::each_mut(request, "tolerations") {
        tree::set_zero(toleration, "operator", "Equal");
    }
}
