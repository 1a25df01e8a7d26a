//! Defaults of the failure policy and of what a policy matches.

use serde_json::{Value, json};

use crate::admissionregistration::shared;
use crate::tree;

pub(super) fn default(policy: &mut Value) {
    tree::set_missing(policy, "spec.failurePolicy", "Fail");
    shared::default_match(policy, "spec.matchConstraints");
    tree::set_missing(policy, "status", json!({}));
}
