//! Validation of bindings of mutating admission policies.

use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::admissionregistration::policy;

pub(super) fn validate(binding: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    policy::binding(&mut errors, binding, true);
    errors
}
