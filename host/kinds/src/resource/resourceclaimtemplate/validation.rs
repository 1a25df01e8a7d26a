//! Validation of resource claim templates.

use k3s_meta::field::{ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks;
use crate::object_meta;
use crate::resource::devices;

pub(super) fn validate(template: &Value) -> ErrorList {
    let path = Path::new("spec");
    let spec = tree::get(template, "spec").unwrap_or(&Value::Null);
    let metadata = tree::get(spec, "metadata").unwrap_or(&Value::Null);
    let mut errors = object_meta::validate_template_meta(metadata, &path.child("metadata"));
    let inner = tree::get(spec, "spec").unwrap_or(&Value::Null);
    devices::spec(&mut errors, inner, &path.child("spec"));
    errors
}

/// A spec that cannot change is not held against newer rules.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    checks::immutable(&mut errors, new, old, "spec");
    errors
}
