//! Validation of resource claim templates.

use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::checks;
use crate::resource::resourceclaim::validation;

pub(super) fn validate(template: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    validation::requests(&mut errors, template, "spec.spec");
    errors
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    checks::immutable(&mut errors, new, old, "spec");
    errors
}
