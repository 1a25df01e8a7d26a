//! Defaults of API services.

use serde_json::{Value, json};

use crate::tree;

pub(super) fn default(service: &mut Value) {
    tree::set_missing(service, "status", json!({}));
    if let Some(reference) = tree::at_mut(service, "spec.service") {
        tree::set_missing(reference, "port", 443);
    }
}
