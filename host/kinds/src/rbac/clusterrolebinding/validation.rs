//! Validation of cluster role bindings.

use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rbac::subjects;

const KINDS: [&str; 1] = ["ClusterRole"];

pub(super) fn validate(binding: &Value) -> ErrorList {
    subjects::validate(binding, &KINDS, false)
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    errors.append(subjects::validate_update(new, old));
    errors
}
