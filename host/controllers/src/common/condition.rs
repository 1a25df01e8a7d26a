//! Conditions in a status, found and set by type.

use k3s_meta::tree;
use serde_json::{Map, Value, json};

/// The condition of this type.
pub(crate) fn find<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    tree::list(object, "status.conditions")
        .iter()
        .find(|c| text(c, "type") == kind)
}

/// A text field of a condition.
pub(crate) fn text<'a>(condition: &'a Value, field: &str) -> &'a str {
    condition.get(field).and_then(Value::as_str).unwrap_or("")
}

/// Whether the condition of this type has status `True`.
pub(crate) fn is_true(object: &Value, kind: &str) -> bool {
    find(object, kind).is_some_and(|c| text(c, "status") == "True")
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
    let old = conditions.iter().position(|c| text(c, "type") == new.kind);
    let current = old.and_then(|at| conditions.get(at));
    if current.is_some_and(|c| text(c, "status") == new.status && text(c, "reason") == new.reason) {
        return;
    }
    let kept = current
        .filter(|c| text(c, "status") == new.status)
        .map(|c| text(c, "lastTransitionTime").to_owned());
    let mut entry = json!({"type": new.kind, "status": new.status,
        "lastTransitionTime": kept.unwrap_or_else(|| now.to_owned())});
    if let Some(map) = entry.as_object_mut() {
        fill(map, new, now, updated);
    }
    if let Some(at) = old {
        conditions.remove(at);
    }
    conditions.push(entry);
}

fn fill(map: &mut Map<String, Value>, new: &Condition, now: &str, updated: Option<&str>) {
    for (field, value) in [("reason", &new.reason), ("message", &new.message)] {
        if !value.is_empty() {
            map.insert(field.into(), value.as_str().into());
        }
    }
    if let Some(field) = updated {
        map.insert(field.into(), now.into());
    }
}

/// The conditions of an object's status, to be changed and put back.
pub(crate) fn of(object: &Value) -> Vec<Value> {
    tree::list(object, "status.conditions").to_vec()
}
