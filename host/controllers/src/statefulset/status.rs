//! Pure: the status of a set.

use serde_json::{Value, json};

use super::model::{Member, StatefulSet, Strategy};
use super::revision::Revisions;
use crate::common::number::count;

/// What the set's status says of its Pods.
pub(super) fn status(owner: &StatefulSet, revisions: &Revisions, members: &[Member]) -> Value {
    let count_of =
        |what: &dyn Fn(&Member) -> bool| count(members.iter().filter(|m| what(m)).count());
    let of = |name: &str| count_of(&|m| !m.is_terminating() && m.revision == name);
    let (replicas, ready) = (count(members.len()), count_of(&|m| m.ready));
    let updated = of(&revisions.update.name);
    let (mut current_name, mut current) =
        (revisions.current.name.as_str(), of(&revisions.current.name));
    // The update is complete when every wanted Pod is new and ready, and none is left over.
    let complete = matches!(owner.strategy, Strategy::Rolling { .. })
        && [updated, replicas, ready]
            .into_iter()
            .all(|n| n == owner.replicas);
    if complete {
        (current_name, current) = (&revisions.update.name, updated);
    }
    let mut status = json!({"replicas": replicas, "availableReplicas": count_of(&|m| m.available)});
    let optional = [
        ("readyReplicas", ready),
        ("currentReplicas", current),
        ("updatedReplicas", updated),
        ("observedGeneration", owner.object.meta().generation),
        ("collisionCount", owner.collisions()),
    ];
    if let Some(map) = status.as_object_mut() {
        map.extend(
            optional
                .into_iter()
                .filter(|(_, n)| *n != 0)
                .map(|(name, n)| (name.to_owned(), n.into())),
        );
        for (name, value) in [
            ("currentRevision", current_name),
            ("updateRevision", &revisions.update.name),
        ] {
            map.insert(name.into(), value.into());
        }
        // Conditions are other people's: no controller of upstream's sets any.
        if let Some(conditions) = owner
            .object
            .value()
            .get("status")
            .and_then(|s| s.get("conditions"))
        {
            map.insert("conditions".into(), conditions.clone());
        }
    }
    status
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
