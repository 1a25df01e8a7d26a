//! Who asked, and who decides.
//!
//! The identity in the spec is the authenticated user's, never what the client wrote. Decisions
//! (`Approved`, `Denied`) go through `/approval`; certificates and failures through `/status`.

use k3s_meta::tree;
use k3s_meta::user::UserInfo;
use serde_json::{Value, json};

/// Conditions that are decisions.
const DECISIONS: [&str; 2] = ["Approved", "Denied"];

/// Puts the requesting user into a new request, in place of whatever the client wrote there.
pub fn set_requestor(request: &mut Value, user: &UserInfo) {
    for (field, value) in [
        ("username", json!(user.name)),
        ("uid", json!(user.uid)),
        ("groups", json!(user.groups)),
        ("extra", json!(user.extra)),
    ] {
        let path = format!("spec.{field}");
        if tree::is_empty(&value) {
            tree::remove(request, &path);
        } else {
            tree::set(request, &path, value);
        }
    }
}

/// `/approval`: only conditions change, and of those only decisions are the caller's to make.
pub fn prepare_approval(new: &mut Value, old: &Value) {
    let conditions = tree::get(new, "status.conditions").cloned();
    tree::copy(new, old, "spec");
    tree::copy(new, old, "status");
    if let Some(conditions) = conditions {
        tree::set(new, "status.conditions", conditions);
    }
}

/// `/status`: everything of the status may change but the decision.
pub(super) fn keep_decision(new: &mut Value, old: &Value) {
    tree::copy(new, old, "spec");
    let mut conditions: Vec<Value> = tree::list(old, "status.conditions")
        .iter()
        .filter(is_decision)
        .cloned()
        .collect();
    conditions.extend(
        tree::list(new, "status.conditions")
            .iter()
            .filter(|it| !is_decision(it))
            .cloned(),
    );
    if !conditions.is_empty() {
        tree::set(new, "status.conditions", conditions);
    }
}

fn is_decision(condition: &&Value) -> bool {
    DECISIONS.contains(&tree::text(condition, "type"))
}

/// Stamps conditions that lack times, as `populateConditionTimestamps` does.
pub fn stamp_conditions(request: &mut Value, old: &Value, now: &str) {
    for condition in tree::each_mut(request, "status.conditions") {
        tree::set_missing(condition, "lastUpdateTime", now);
        let kind = tree::text(condition, "type").to_owned();
        let before = tree::list(old, "status.conditions")
            .iter()
            .find(|it| tree::text(it, "type") == kind);
        match before.filter(|it| tree::text(it, "status") == tree::text(condition, "status")) {
            Some(before) => tree::copy(condition, before, "lastTransitionTime"),
            None => tree::set_missing(condition, "lastTransitionTime", now),
        }
    }
}
