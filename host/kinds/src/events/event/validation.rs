//! Validation of events in their newer form: every field that says who and what is required.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

const REASON_LIMIT_BYTES: usize = 128;
const NOTE_LIMIT_BYTES: usize = 1024;

pub(super) fn validate(event: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    if !tree::has(event, "eventTime") {
        errors.push(field::required(&Path::new("eventTime"), ""));
    }
    let reporter = tree::text(event, "reportingController");
    if reporter.is_empty() {
        errors.push(field::required(&Path::new("reportingController"), ""));
    } else {
        errors.check(
            &Path::new("reportingController"),
            reporter,
            names::is_qualified_name(reporter),
        );
    }
    for (name, limit) in [
        ("reportingInstance", REASON_LIMIT_BYTES),
        ("action", REASON_LIMIT_BYTES),
        ("reason", REASON_LIMIT_BYTES),
    ] {
        if tree::text(event, name).is_empty() {
            errors.push(field::required(&Path::new(name), ""));
        } else if tree::text(event, name).len() > limit {
            errors.push(field::invalid(
                &Path::new(name),
                "",
                format!("can have at most {limit} characters"),
            ));
        }
    }
    if tree::text(event, "note").len() > NOTE_LIMIT_BYTES {
        errors.push(field::invalid(
            &Path::new("message"),
            "",
            "can have at most 1024 characters",
        ));
    }
    errors
}

/// Only the series of an event may change.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    for name in [
        "regarding",
        "reason",
        "action",
        "note",
        "type",
        "reportingController",
        "reportingInstance",
        "related",
    ] {
        checks::immutable(&mut errors, new, old, name);
    }
    errors
}
