//! Who asked, and who decides (`pkg/registry/certificates/certificates/strategy.go`).
//!
//! The identity in the spec is the authenticated user's, never what the client wrote: signers put it
//! into certificates. Decisions (`Approved`, `Denied`) go through `/approval`, which RBAC guards by
//! itself; certificates and failures go through `/status`.

use k3s_meta::tree;
use k3s_meta::user::UserInfo;
use serde_json::{Value, json};

use super::validation;
use crate::context::Context;
use crate::subresource::Subresource;

/// Conditions that are decisions.
const DECISIONS: [&str; 2] = ["Approved", "Denied"];

pub(super) const APPROVAL: Subresource = Subresource {
    name: "approval",
    prepare: prepare_approval,
    validate: Some(validation::validate_approval),
    new_generation: true,
};

pub(super) fn prepare_create(request: &mut Value, context: &Context<'_>) {
    set_requestor(request, context.user);
}

fn set_requestor(request: &mut Value, user: &UserInfo) {
    for (path, value) in [
        ("spec.username", json!(user.name)),
        ("spec.uid", json!(user.uid)),
        ("spec.groups", json!(user.groups)),
        ("spec.extra", json!(user.extra)),
    ] {
        if tree::is_empty(&value) {
            tree::remove(request, path);
        } else {
            tree::set(request, path, value);
        }
    }
}

/// A request is signed as it was made; an update may change metadata alone.
pub(super) fn prepare_update(new: &mut Value, old: &Value, _: &Context<'_>) {
    tree::copy(new, old, "spec");
}

/// `/status` leaves decisions as they are. One that is added or removed is left for validation to
/// refuse.
pub(super) fn prepare_status_update(new: &mut Value, old: &Value, context: &Context<'_>) {
    for decision in DECISIONS {
        restore_conditions(new, old, decision);
    }
    stamp_conditions(new, old, context);
}

/// `/approval` changes conditions alone.
fn prepare_approval(new: &mut Value, old: &Value, context: &Context<'_>) {
    stamp_conditions(new, old, context);
    let conditions = tree::list(new, "status.conditions").to_vec();
    tree::copy(new, old, "spec");
    tree::copy(new, old, "status");
    if conditions.is_empty() {
        tree::remove(new, "status.conditions");
    } else {
        tree::set(new, "status.conditions", conditions);
    }
}

/// `preserveConditionInstances`: puts the stored conditions of one type back where they stand.
fn restore_conditions(new: &mut Value, old: &Value, kind: &str) {
    let is_kind = |condition: &&Value| tree::text(condition, "type") == kind;
    let stored = tree::list(old, "status.conditions").iter().filter(is_kind);
    let sent = tree::list(new, "status.conditions").iter().filter(is_kind);
    if stored.clone().count() != sent.count() {
        return;
    }
    let conditions = tree::each_mut(new, "status.conditions");
    let slots = conditions.filter(|condition| tree::text(condition, "type") == kind);
    for (slot, stored) in slots.zip(stored) {
        slot.clone_from(stored);
    }
}

/// `populateConditionTimestamps`: fills in times that the client left out.
fn stamp_conditions(new: &mut Value, old: &Value, context: &Context<'_>) {
    let now = context.time_stamp();
    for condition in tree::each_mut(new, "status.conditions") {
        tree::set_missing(condition, "lastUpdateTime", now.as_str());
        if tree::has(condition, "lastTransitionTime") {
            continue;
        }
        let unchanged = tree::list(old, "status.conditions").iter().find(|before| {
            tree::text(before, "type") == tree::text(condition, "type")
                && tree::text(before, "status") == tree::text(condition, "status")
                && tree::has(before, "lastTransitionTime")
        });
        match unchanged {
            Some(before) => tree::copy(condition, before, "lastTransitionTime"),
            None => tree::set(condition, "lastTransitionTime", now.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "1970-01-01T00:00:00Z";

    fn request(conditions: Value) -> Value {
        json!({
            "metadata": {"name": "r", "resourceVersion": "1"},
            "spec": {"request": "x"}, "status": {"conditions": conditions},
        })
    }

    #[test]
    fn a_request_carries_the_identity_of_its_creator() {
        let mut user = UserInfo::new("jane", ["dev"]);
        user.extra.insert("scope".to_owned(), vec!["a".to_owned()]);
        let mut request = json!({"spec": {
            "username": "admin", "uid": "0", "groups": ["system:masters"], "extra": {"x": ["y"]}, "request": "x",
        }});
        prepare_create(&mut request, &Context::at_epoch(&user));
        assert_eq!(
            request["spec"],
            json!({"username": "jane", "groups": ["dev"], "extra": {"scope": ["a"]}, "request": "x"})
        );
    }

    #[test]
    fn approval_changes_conditions_and_stamps_them() {
        let user = UserInfo::default();
        let old = request(json!([]));
        let mut new = request(json!([{"type": "Approved", "status": "True"}]));
        new["spec"]["request"] = json!("other");
        new["status"]["certificate"] = json!("forged");
        prepare_approval(&mut new, &old, &Context::at_epoch(&user));
        let approved = json!({"type": "Approved", "status": "True", "lastUpdateTime": NOW, "lastTransitionTime": NOW});
        assert_eq!(new, request(json!([approved])));
        assert!(validation::validate_approval(&new, &old).is_empty());
    }

    #[test]
    fn a_status_update_makes_no_decision() {
        let user = UserInfo::default();
        let approved = json!({"type": "Approved", "status": "True", "lastUpdateTime": NOW, "lastTransitionTime": NOW, "reason": "a"});
        let old = request(json!([approved]));
        let failed = json!({"type": "Failed", "status": "True", "lastUpdateTime": NOW, "lastTransitionTime": NOW});
        let mut new =
            request(json!([{"type": "Approved", "status": "True", "reason": "b"}, failed]));
        prepare_status_update(&mut new, &old, &Context::at_epoch(&user));
        assert_eq!(new, request(json!([approved, failed])));
        for (conditions, verb) in [
            (json!([]), "remove"),
            (
                json!([approved, {"type": "Denied", "status": "True"}]),
                "add",
            ),
        ] {
            let mut new = request(conditions);
            prepare_status_update(&mut new, &old, &Context::at_epoch(&user));
            let errors = validation::validate_status_update(&new, &old).to_string();
            assert!(
                errors.contains(&format!("updates may not {verb} a condition of type")),
                "{errors}"
            );
        }
    }
}
