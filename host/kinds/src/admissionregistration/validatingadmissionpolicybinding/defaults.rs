//! Defaults of what a policy binding matches.

use serde_json::Value;

use crate::admissionregistration::shared;

pub(super) fn default(binding: &mut Value) {
    shared::default_match(binding, "spec.matchResources");
}
