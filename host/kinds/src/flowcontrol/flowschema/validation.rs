//! Validation of flow schemas.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks;

const MAX_PRECEDENCE: i64 = 10_000;

pub(super) fn validate(schema: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(schema, "spec").unwrap_or(&Value::Null);
    let precedence = tree::int(spec, "matchingPrecedence").unwrap_or(0);
    if precedence <= 0 {
        errors.push(field::invalid(
            &path.child("matchingPrecedence"),
            precedence,
            "must be a positive value",
        ));
    } else if precedence > MAX_PRECEDENCE {
        let detail = format!("must not be greater than {MAX_PRECEDENCE}");
        errors.push(field::invalid(
            &path.child("matchingPrecedence"),
            precedence,
            detail,
        ));
    }
    if let Some(method) = tree::get(spec, "distinguisherMethod") {
        checks::required_one_of(
            &mut errors,
            method,
            "type",
            &path.child("distinguisherMethod"),
            &["ByNamespace", "ByUser"],
        );
    }
    let level = tree::get(spec, "priorityLevelConfiguration").unwrap_or(&Value::Null);
    let detail = "must reference a priority level";
    checks::required(
        &mut errors,
        level,
        "name",
        &path.child("priorityLevelConfiguration"),
        detail,
    );
    for (index, rule) in tree::list(spec, "rules").iter().enumerate() {
        self::rule(&mut errors, rule, &path.child("rules").index(index));
    }
    errors
}

fn rule(errors: &mut ErrorList, rule: &Value, path: &Path) {
    if !tree::has(rule, "subjects") {
        errors.push(field::required(
            &path.child("subjects"),
            "subjects must contain at least one value",
        ));
    }
    for (index, subject) in tree::list(rule, "subjects").iter().enumerate() {
        let kinds = ["Group", "ServiceAccount", "User"];
        checks::required_one_of(
            errors,
            subject,
            "kind",
            &path.child("subjects").index(index),
            &kinds,
        );
    }
    if !tree::has(rule, "resourceRules") && !tree::has(rule, "nonResourceRules") {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(field::required(path, detail));
    }
}
