//! Validation of IP addresses.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks;

pub(super) fn validate(address: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec.parentRef");
    match tree::get(address, "spec.parentRef") {
        None => errors.push(field::required(&path, "")),
        Some(parent) => {
            checks::required(&mut errors, parent, "resource", &path, "");
            checks::required(&mut errors, parent, "name", &path, "");
        }
    }
    errors
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    checks::immutable(&mut errors, new, old, "spec.parentRef");
    errors
}
