//! Validation of replica sets.

use k3s_meta::field::{ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::apps::workload;
use crate::checks;
use crate::core::podspec::warnings as spec_warnings;

pub(super) fn validate(set: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(set, "spec").unwrap_or(&Value::Null);
    checks::not_negative(&mut errors, spec, "replicas", &path);
    checks::not_negative(&mut errors, spec, "minReadySeconds", &path);
    workload::selected_template(&mut errors, spec, &path);
    errors
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    checks::immutable(&mut errors, new, old, "spec.selector");
    errors
}

pub(super) fn validate_status_update(new: &Value, _old: &Value) -> ErrorList {
    workload::replica_status(new)
}

pub(super) fn update_warnings(new: &Value, old: &Value) -> Vec<String> {
    spec_warnings::changed_template(new, old, "spec.template")
}

pub(super) fn warnings(set: &Value) -> Vec<String> {
    spec_warnings::named_template(set, "spec.template")
}
