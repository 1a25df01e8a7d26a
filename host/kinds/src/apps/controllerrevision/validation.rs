//! Validation of controller revisions.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks;

pub(super) fn validate(revision: &Value) -> ErrorList {
    let mut errors = number(revision);
    let detail = match tree::get(revision, "data") {
        Some(Value::Object(_)) => return errors,
        None => "data is mandatory",
        Some(_) => "data must be a valid JSON object",
    };
    errors.push(field::required(&Path::new("data"), detail));
    errors
}

fn number(revision: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    checks::not_negative(&mut errors, revision, "revision", &Path::root());
    errors
}

/// The data of a revision is history.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = number(new);
    checks::immutable(&mut errors, new, old, "data");
    errors
}
