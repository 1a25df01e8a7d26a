//! Conditions in a status, found and set by type.

use k3s_meta::tree;
use serde_json::{Value, json};

/// The condition of this type.
pub(crate) fn find<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    of_type(tree::list(object, "status.conditions"), kind)
}

/// The condition of this type among `conditions`.
pub(crate) fn of_type<'a>(conditions: &'a [Value], kind: &str) -> Option<&'a Value> {
    conditions
        .iter()
        .find(|condition| text(condition, "type") == kind)
}

/// A text field of a condition.
pub(crate) fn text<'a>(condition: &'a Value, field: &str) -> &'a str {
    condition.get(field).and_then(Value::as_str).unwrap_or("")
}

/// The status of the condition of this type, empty without one.
pub(crate) fn status<'a>(object: &'a Value, kind: &str) -> &'a str {
    match find(object, kind) {
        Some(condition) => text(condition, "status"),
        None => "",
    }
}

/// Whether the condition of this type has status `True`.
pub(crate) fn is_true(object: &Value, kind: &str) -> bool {
    status(object, kind) == "True"
}

/// What a condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) kind: &'static str,
    pub(crate) status: &'static str,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl Condition {
    pub(crate) fn new(
        kind: &'static str,
        status: &'static str,
        reason: &str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            status,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

/// Sets a condition among `conditions`. Nothing changes where status and reason are the same,
/// so that a repeated finding writes nothing; the transition time moves with the status only.
/// `updated` names a further time field that moves with each change (`lastUpdateTime`).
pub(crate) fn set(conditions: &mut Vec<Value>, new: &Condition, now: &str, updated: Option<&str>) {
    let place = conditions
        .iter()
        .position(|entry| text(entry, "type") == new.kind);
    let mut transition = now.to_owned();
    if let Some(old) = place.and_then(|at| conditions.get(at)) {
        let same_status = text(old, "status") == new.status;
        let same_reason = text(old, "reason") == new.reason;
        if same_status && same_reason {
            return;
        }
        if same_status {
            text(old, "lastTransitionTime").clone_into(&mut transition);
        }
    }
    if let Some(at) = place {
        conditions.remove(at);
    }
    let mut entry = json!({
        "type": new.kind,
        "status": new.status,
        "lastTransitionTime": transition,
    });
    if let Some(field) = updated {
        tree::set(&mut entry, field, now);
    }
    if !new.reason.is_empty() {
        tree::set(&mut entry, "reason", new.reason.as_str());
    }
    if !new.message.is_empty() {
        tree::set(&mut entry, "message", new.message.as_str());
    }
    conditions.push(entry);
}

/// The conditions of an object's status, to be changed and put back.
pub(crate) fn of(object: &Value) -> Vec<Value> {
    tree::list(object, "status.conditions").to_vec()
}
