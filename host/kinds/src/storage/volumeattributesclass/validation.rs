//! Validation of volume attributes classes.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::equality::semantic_eq;
use crate::storage::class;

pub(super) fn validate(class: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    class::provisioner(&mut errors, class, "driverName");
    class::parameters(&mut errors, class);
    if !tree::has(class, "parameters") {
        let detail = "must contain at least one key/value pair";
        errors.push(field::required(&Path::new("parameters"), detail));
    }
    errors
}

/// What a class stands for does not change under the volumes that name it.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    for name in ["driverName", "parameters"] {
        if !semantic_eq(tree::get(new, name), tree::get(old, name)) {
            let detail = format!("updates to {name} are forbidden.");
            errors.push(field::forbidden(&Path::new(name), detail));
        }
    }
    errors.append(validate(new));
    errors
}
