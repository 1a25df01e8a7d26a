//! Defaults of API services.

use k3s_meta::tree;
use serde_json::{Value, json};

pub(super) fn default(service: &mut Value) {
    tree::set_missing(service, "status", json!({}));
    if let Some(reference) = tree::get_mut(service, "spec.service") {
        tree::set_missing(reference, "port", 443);
    }
}
