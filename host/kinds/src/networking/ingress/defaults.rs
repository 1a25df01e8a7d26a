//! Zero values that every ingress shows.

use k3s_meta::tree;
use serde_json::{Value, json};

pub(super) fn default(ingress: &mut Value) {
    tree::set_missing(ingress, "spec", json!({}));
    tree::set_missing(ingress, "status.loadBalancer", json!({}));
}
