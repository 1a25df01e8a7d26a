//! Validation of volume attributes classes.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks;

pub(super) fn validate(class: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    checks::required(&mut errors, class, "driverName", &Path::root(), "");
    if !tree::has(class, "parameters") {
        errors.push(field::required(
            &Path::new("parameters"),
            "must contain at least one key/value pair",
        ));
    }
    errors
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    for name in ["driverName", "parameters"] {
        checks::immutable(&mut errors, new, old, name);
    }
    errors
}
