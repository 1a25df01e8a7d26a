//! Validation of resource claims.

use k3s_meta::field::{ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks;
use crate::resource::devices;

pub(super) fn validate(claim: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let spec = tree::get(claim, "spec").unwrap_or(&Value::Null);
    devices::spec(&mut errors, spec, &Path::new("spec"));
    errors
}

/// A spec that cannot change is not held against newer rules.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    checks::immutable(&mut errors, new, old, "spec");
    errors
}
