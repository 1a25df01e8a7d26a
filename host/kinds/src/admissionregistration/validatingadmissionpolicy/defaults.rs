//! Defaults of the failure policy and of what a policy matches.

use k3s_meta::tree;
use serde_json::{Value, json};

use crate::admissionregistration::shared;

pub(super) fn default(policy: &mut Value) {
    tree::set_missing(policy, "spec.failurePolicy", "Fail");
    shared::default_match(policy, "spec.matchConstraints");
    tree::set_missing(policy, "status", json!({}));
}
