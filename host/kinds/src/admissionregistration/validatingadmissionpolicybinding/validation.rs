//! Validation of bindings of validating admission policies.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::admissionregistration::policy;
use crate::checks::Unique;

const ACTIONS: [&str; 3] = ["Audit", "Deny", "Warn"];

pub(super) fn validate(binding: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    policy::binding(&mut errors, binding, false);
    let path = Path::new("spec.validationActions");
    let actions = tree::texts(binding, "spec.validationActions");
    let mut seen = Unique::new();
    for (index, action) in actions.iter().enumerate() {
        if !ACTIONS.contains(action) {
            errors.push(field::not_supported(&path.index(index), *action, &ACTIONS));
        }
        seen.insert(&mut errors, action, &path.index(index));
    }
    if actions.contains(&"Deny") && actions.contains(&"Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        let value = tree::get(binding, "spec.validationActions");
        errors.push(field::invalid(&path, value, detail));
    }
    if actions.is_empty() {
        let detail = "at least one validation action is required";
        errors.push(field::required(&path, detail));
    }
    errors
}
