//! Validation of bindings of mutating admission policies.

use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::admissionregistration::shared;

pub(super) fn validate(binding: &Value) -> ErrorList {
    shared::validate_binding(binding)
}
