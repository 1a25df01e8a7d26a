//! Validation of controller revisions.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks;

pub(super) fn validate(revision: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    if tree::int(revision, "revision").is_some_and(|number| number < 0) {
        errors.push(field::invalid(
            &Path::new("revision"),
            tree::get(revision, "revision"),
            crate::object_meta::NOT_NEGATIVE,
        ));
    }
    if tree::get(revision, "data").is_none() {
        errors.push(field::required(&Path::new("data"), "data is mandatory"));
    }
    errors
}

/// The data of a revision is history.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    checks::immutable(&mut errors, new, old, "data");
    errors
}
