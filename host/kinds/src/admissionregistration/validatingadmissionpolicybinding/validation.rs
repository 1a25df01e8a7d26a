//! Validation of bindings of validating admission policies.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::admissionregistration::shared;

const ACTIONS: [&str; 3] = ["Audit", "Deny", "Warn"];

pub(super) fn validate(binding: &Value) -> ErrorList {
    let mut errors = shared::validate_binding(binding);
    let path = Path::new("spec.validationActions");
    let actions = tree::texts(binding, "spec.validationActions");
    if actions.is_empty() {
        errors.push(field::required(
            &path,
            "at least one validation action is required",
        ));
    }
    for (index, action) in actions.iter().enumerate() {
        if !ACTIONS.contains(action) {
            errors.push(field::not_supported(&path.index(index), *action, &ACTIONS));
        }
    }
    if actions.contains(&"Deny") && actions.contains(&"Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        errors.push(field::invalid(
            &path,
            tree::get(binding, "spec.validationActions"),
            detail,
        ));
    }
    errors
}
