//! Pure: the status of a set.

use k3s_meta::tree;
use serde_json::{Value, json};

use super::model::{Member, StatefulSet, Strategy};
use super::revision::Revisions;
use crate::common::number::count;

/// The set's status, from its Pods.
pub(super) fn status(owner: &StatefulSet, revisions: &Revisions, members: &[Member]) -> Value {
    let counts = Counts::of(revisions, members);
    let update = revisions.update.name.as_str();
    let (current_name, current) = if counts.is_update_complete(owner) {
        (update, counts.updated)
    } else {
        (revisions.current.name.as_str(), counts.current)
    };
    let mut status = json!({
        "replicas": counts.replicas,
        "availableReplicas": counts.available,
        "currentRevision": current_name,
        "updateRevision": update,
    });
    for (name, number) in [
        ("readyReplicas", counts.ready),
        ("currentReplicas", current),
        ("updatedReplicas", counts.updated),
        ("observedGeneration", owner.object.meta().generation),
        ("collisionCount", owner.collisions()),
    ] {
        if number != 0 {
            tree::set(&mut status, name, number);
        }
    }
    // No controller of upstream's sets conditions, so those that are there belong to other clients.
    if let Some(conditions) = tree::get(owner.object.value(), "status.conditions") {
        tree::set(&mut status, "conditions", conditions.clone());
    }
    status
}

/// Numbers of Pods.
struct Counts {
    replicas: i64,
    ready: i64,
    available: i64,
    /// Of the current revision, without terminating ones.
    current: i64,
    /// Of the update revision, without terminating ones.
    updated: i64,
}

impl Counts {
    fn of(revisions: &Revisions, members: &[Member]) -> Self {
        let mut counts = Self {
            replicas: count(members.len()),
            ready: 0,
            available: 0,
            current: 0,
            updated: 0,
        };
        for member in members {
            counts.ready += i64::from(member.ready);
            counts.available += i64::from(member.available);
            if member.is_terminating() {
                continue;
            }
            let is_current = member.revision == revisions.current.name;
            let is_updated = member.revision == revisions.update.name;
            counts.current += i64::from(is_current);
            counts.updated += i64::from(is_updated);
        }
        counts
    }

    /// Whether every wanted Pod is of the update revision and ready, and no other Pod is left.
    fn is_update_complete(&self, owner: &StatefulSet) -> bool {
        let is_rolling = matches!(owner.strategy, Strategy::Rolling { .. });
        is_rolling
            && self.updated == owner.replicas
            && self.replicas == owner.replicas
            && self.ready == owner.replicas
    }
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;

    use super::super::revision::Revision;
    use super::*;

    fn member(set: &StatefulSet, ordinal: i64, revision: &str) -> Member {
        let pod = Obj::from_value(json!({
            "metadata": {"name": format!("web-{ordinal}"), "labels": {"controller-revision-hash": revision}},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        }))
        .unwrap();
        Member::read(set, pod, jiff::Timestamp::UNIX_EPOCH).unwrap()
    }

    fn revision_names(status: &Value) -> (&str, &str) {
        (
            status["currentRevision"].as_str().unwrap(),
            status["updateRevision"].as_str().unwrap(),
        )
    }

    #[test]
    fn the_update_becomes_current_when_it_is_complete() {
        let set = Obj::from_value(
            json!({"metadata": {"name": "web", "generation": 4}, "spec": {"replicas": 2}}),
        )
        .unwrap();
        let set = StatefulSet::read(&set);
        let revision = |name: &str| Revision {
            name: name.into(),
            template: Value::Null,
        };
        let revisions = Revisions {
            current: revision("old"),
            update: revision("new"),
        };
        let half = status(
            &set,
            &revisions,
            &[member(&set, 0, "old"), member(&set, 1, "new")],
        );
        assert_eq!(revision_names(&half), ("old", "new"));
        assert_eq!(
            (&half["currentReplicas"], &half["updatedReplicas"]),
            (&json!(1), &json!(1))
        );
        let whole = status(
            &set,
            &revisions,
            &[member(&set, 0, "new"), member(&set, 1, "new")],
        );
        assert_eq!(revision_names(&whole), ("new", "new"));
        assert_eq!(
            (&whole["currentReplicas"], &whole["observedGeneration"]),
            (&json!(2), &json!(4))
        );
    }
}
