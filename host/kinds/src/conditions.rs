//! Conditions in the status of a kind, held against the rules of `metav1.Condition`
//! (`apimachinery/pkg/apis/meta/v1/validation`).

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{Check, Unique};

const STATUSES: [&str; 3] = ["False", "True", "Unknown"];
const MAX_REASON_BYTES: usize = 1024;
const MAX_MESSAGE_BYTES: usize = 32 * 1024;
const REASON: &str = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";

/// The list `conditions` of a status (or of a part of it) that stands at `path`.
pub(crate) fn validate(errors: &mut ErrorList, status: &Value, path: &Path) {
    let mut seen = Unique::new();
    for (index, condition) in tree::list(status, "conditions").iter().enumerate() {
        let at = path.child("conditions").index(index);
        let kind = tree::text(condition, "type");
        seen.insert(errors, kind, &at.child("type"));
        errors.check(&at.child("type"), kind, names::is_qualified_name(kind));
        let status = tree::text(condition, "status");
        if !STATUSES.contains(&status) {
            errors.push(field::not_supported(&at.child("status"), status, &STATUSES));
        }
        if let Some(generation) = tree::int(condition, "observedGeneration").filter(|it| *it < 0) {
            let detail = "must be greater than or equal to zero";
            let at = at.child("observedGeneration");
            errors.push(field::invalid(&at, generation, detail));
        }
        if !tree::has(condition, "lastTransitionTime") {
            errors.push(field::required(&at.child("lastTransitionTime"), ""));
        }
        reason(errors, tree::text(condition, "reason"), &at.child("reason"));
        if tree::text(condition, "message").len() > MAX_MESSAGE_BYTES {
            errors.push(field::too_long(&at.child("message"), MAX_MESSAGE_BYTES));
        }
    }
}

fn reason(errors: &mut ErrorList, reason: &str, path: &Path) {
    if reason.is_empty() {
        errors.push(field::required(path, ""));
        return;
    }
    let last = |it: char| it.is_ascii_alphanumeric() || it == '_';
    let inner = |it: char| last(it) || matches!(it, ',' | ':');
    if !reason.starts_with(|it: char| it.is_ascii_alphabetic())
        || !reason.ends_with(last)
        || !reason.chars().all(inner)
    {
        errors.push(field::invalid(path, reason, REASON));
    }
    if reason.len() > MAX_REASON_BYTES {
        errors.push(field::too_long(path, MAX_REASON_BYTES));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_are_complete_and_of_different_types() {
        let good = json!({"type": "Ready", "status": "True", "reason": "A_b:c", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let bad = json!({"type": "Ready", "status": "", "reason": "a b", "observedGeneration": -1});
        let mut errors = ErrorList::new();
        validate(
            &mut errors,
            &json!({"conditions": [good, bad]}),
            &Path::new("status"),
        );
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "status.conditions[1].type: Duplicate value: \"Ready\"".to_owned(),
                "status.conditions[1].status: Unsupported value: \"\": supported values: \"False\", \"True\", \"Unknown\"".to_owned(),
                "status.conditions[1].observedGeneration: Invalid value: -1: must be greater than or equal to zero".to_owned(),
                "status.conditions[1].lastTransitionTime: Required value".to_owned(),
                format!("status.conditions[1].reason: Invalid value: \"a b\": {REASON}"),
            ]
        );
    }
}
