//! Zero values that every ingress shows.

use serde_json::{Value, json};

use crate::tree;

pub(super) fn default(ingress: &mut Value) {
    tree::set_missing(ingress, "spec", json!({}));
    tree::set_missing(ingress, "status.loadBalancer", json!({}));
}
