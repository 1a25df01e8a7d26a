//! Rules that both kinds of the group have.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks::Unique;

/// A list with something in it, and nothing beside `*`. `texts` say what is missing, and what the others are
/// called. False where it is empty.
pub(super) fn filled(
    errors: &mut ErrorList,
    rule: &Value,
    name: &str,
    path: &Path,
    texts: (&str, &str),
) -> bool {
    let values = tree::texts(rule, name);
    let at = path.child(name);
    let (required, others) = texts;
    if values.is_empty() {
        errors.push(field::required(&at, required));
    } else if values.len() > 1 && values.contains(&"*") {
        let detail = format!("if '*' is present, must not specify other {others}");
        errors.push(field::invalid(&at, tree::get(rule, name), detail));
    }
    !values.is_empty()
}

/// Errors of a status: conditions have a type, each another one.
pub(super) fn validate_status_update(new: &Value, _: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut seen = Unique::new();
    let conditions = tree::list(new, "status.conditions");
    for (index, condition) in conditions.iter().enumerate() {
        let kind = tree::text(condition, "type");
        let at = Path::new("status.conditions").index(index).child("type");
        seen.insert(&mut errors, kind, &at);
        if kind.is_empty() {
            errors.push(field::required(&at, ""));
        }
    }
    errors
}
