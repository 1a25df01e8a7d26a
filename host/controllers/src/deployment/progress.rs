//! Pure: the status of a Deployment, and whether its rollout gets on.

use std::time::Duration;

use jiff::Timestamp;
use k3s_base::clock::rfc3339;
use k3s_meta::tree;
use serde_json::{Map, Value};

use super::model::{Deployment, Sets};
use crate::common::condition::{self, Condition};
use crate::common::{time, write};

const UPDATED: Option<&str> = Some("lastUpdateTime");

/// The counts of a status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) replicas: i64,
    pub(super) updated: i64,
    pub(super) ready: i64,
    pub(super) available: i64,
    pub(super) unavailable: i64,
}

impl Counts {
    pub(super) fn observe(sets: &Sets) -> Self {
        let mut counts = Self {
            available: sets.available(),
            ..Self::default()
        };
        for set in sets.all() {
            counts.replicas += set.actual;
            counts.ready += set.ready;
        }
        if let Some(new) = &sets.new {
            counts.updated = new.actual;
        }
        let missing = sets.total() - counts.available;
        counts.unavailable = missing.max(0);
        counts
    }

    fn written(deployment: &Deployment) -> Self {
        let status = |field| tree::int(deployment.value(), &format!("status.{field}")).unwrap_or(0);
        Self {
            replicas: status("replicas"),
            updated: status("updatedReplicas"),
            ready: status("readyReplicas"),
            available: status("availableReplicas"),
            unavailable: status("unavailableReplicas"),
        }
    }

    pub(super) fn complete(&self, deployment: &Deployment) -> bool {
        let wanted = deployment.replicas;
        self.updated == wanted && self.replicas == wanted && self.available == wanted
    }

    fn ahead_of(&self, before: &Self) -> bool {
        self.updated > before.updated
            || self.replicas - self.updated < before.replicas - before.updated
            || self.ready > before.ready
            || self.available > before.available
    }
}

/// Whether the status is that of a rollout (otherwise of a scaling or a pause, which neither
/// progress nor time out).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Rolling,
    Standing,
}

/// The status to write.
pub(super) fn status(
    deployment: &Deployment,
    sets: &Sets,
    phase: Phase,
    collisions: i64,
    now: Timestamp,
) -> Value {
    let counts = Counts::observe(sets);
    let stamp = rfc3339(now);
    let required = deployment.replicas - deployment.unavailable;
    let availability = availability(counts.available >= required);
    let mut conditions = condition::of(deployment.value());
    condition::set(&mut conditions, &availability, &stamp, UPDATED);
    pausing(deployment, &mut conditions, &stamp);
    if phase == Phase::Rolling {
        progress(deployment, sets, &counts, &mut conditions, now);
    }
    failure(sets, &mut conditions, &stamp);
    let mut status = Map::new();
    let generation = deployment.object.meta().generation;
    let numbers = [
        ("observedGeneration", generation),
        ("replicas", counts.replicas),
        ("updatedReplicas", counts.updated),
        ("readyReplicas", counts.ready),
        ("availableReplicas", counts.available),
        ("unavailableReplicas", counts.unavailable),
        ("collisionCount", collisions),
    ];
    write::set_counts(&mut status, &numbers);
    status.insert("conditions".into(), conditions.into());
    Value::Object(status)
}

fn availability(available: bool) -> Condition {
    if available {
        Condition::new(
            "Available",
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        )
    } else {
        Condition::new(
            "Available",
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    }
}

/// A pause stops the clock of the progress deadline; resuming restarts it.
fn pausing(deployment: &Deployment, conditions: &mut Vec<Value>, stamp: &str) {
    if deployment.progress_deadline.is_none() {
        return;
    }
    let reason = reason(conditions, "Progressing");
    if reason == "ProgressDeadlineExceeded" {
        return;
    }
    let new = match (deployment.paused, reason.as_str()) {
        (true, paused) if paused != "DeploymentPaused" => {
            ("DeploymentPaused", "Deployment is paused")
        }
        (false, "DeploymentPaused") => ("DeploymentResumed", "Deployment is resumed"),
        _ => return,
    };
    condition::set(
        conditions,
        &Condition::new("Progressing", "Unknown", new.0, new.1),
        stamp,
        UPDATED,
    );
}

fn progress(
    deployment: &Deployment,
    sets: &Sets,
    counts: &Counts,
    conditions: &mut Vec<Value>,
    now: Timestamp,
) {
    if deployment.progress_deadline.is_none() {
        conditions.retain(|c| condition::text(c, "type") != "Progressing");
        return;
    }
    let finished = counts.replicas == counts.updated
        && reason(conditions, "Progressing") == "NewReplicaSetAvailable";
    if finished {
        return;
    }
    let what = match &sets.new {
        Some(set) => format!("ReplicaSet \"{}\"", set.name()),
        None => format!("Deployment \"{}\"", deployment.object.name()),
    };
    let stamp = rfc3339(now);
    let set = |conditions: &mut Vec<Value>, new: Condition| {
        condition::set(conditions, &new, &stamp, UPDATED)
    };
    if counts.complete(deployment) {
        let message = format!("{what} has successfully progressed.");
        set(
            conditions,
            Condition::new("Progressing", "True", "NewReplicaSetAvailable", message),
        );
    } else if counts.ahead_of(&Counts::written(deployment)) {
        let new = Condition::new(
            "Progressing",
            "True",
            "ReplicaSetUpdated",
            format!("{what} is progressing."),
        );
        // Each step counts, so the update time moves although status and reason stay.
        touch(conditions, &new, &stamp);
    } else if timed_out(deployment, conditions, now) {
        let message = format!("{what} has timed out progressing.");
        set(
            conditions,
            Condition::new("Progressing", "False", "ProgressDeadlineExceeded", message),
        );
    }
}

fn touch(conditions: &mut Vec<Value>, new: &Condition, stamp: &str) {
    let mut since = None;
    if let Some(old) = condition::of_type(conditions, new.kind)
        && condition::text(old, "status") == new.status
    {
        let transition = condition::text(old, "lastTransitionTime");
        since = Some(transition.to_owned());
    }
    conditions.retain(|entry| condition::text(entry, "type") != new.kind);
    condition::set(conditions, new, stamp, UPDATED);
    let Some(since) = since else {
        return;
    };
    if let Some(entry) = conditions.last_mut() {
        tree::set(entry, "lastTransitionTime", since);
    }
}

/// The set named a new or found set as progress (upstream `getNewReplicaSet`).
pub(super) fn announce(
    deployment: &Deployment,
    new: &Condition,
    stamp: &str,
) -> Option<Vec<Value>> {
    deployment.progress_deadline?;
    let mut conditions = condition::of(deployment.value());
    let is_known = condition::of_type(&conditions, "Progressing").is_some();
    if is_known && new.reason == "FoundNewReplicaSet" {
        return None;
    }
    condition::set(&mut conditions, new, stamp, UPDATED);
    Some(conditions)
}

fn timed_out(deployment: &Deployment, conditions: &[Value], now: Timestamp) -> bool {
    match reason(conditions, "Progressing").as_str() {
        "" | "NewReplicaSetAvailable" | "DeploymentPaused" => false,
        "ProgressDeadlineExceeded" => true,
        _ => deadline_left(deployment, conditions, now).is_some_and(|left| left.is_zero()),
    }
}

fn deadline_left(
    deployment: &Deployment,
    conditions: &[Value],
    now: Timestamp,
) -> Option<Duration> {
    let deadline = deployment.progress_deadline?;
    let progressing = condition::of_type(conditions, "Progressing")?;
    let updated = condition::text(progressing, "lastUpdateTime");
    let updated = time::parse(updated)?;
    let left = time::until(now, updated, deadline);
    Some(left.unwrap_or(Duration::ZERO))
}

/// When the deadline of a rollout under way runs out. `None` where there is nothing to wait for.
pub(super) fn wait(deployment: &Deployment, status: &Value, now: Timestamp) -> Option<Duration> {
    let conditions = tree::list(status, "conditions");
    match reason(conditions, "Progressing").as_str() {
        "" | "NewReplicaSetAvailable" | "ProgressDeadlineExceeded" | "DeploymentPaused" => None,
        _ => {
            let left = deadline_left(deployment, conditions, now)?;
            // A second more, since times are written in whole seconds.
            Some(left + Duration::from_secs(1))
        }
    }
}

fn failure(sets: &Sets, conditions: &mut Vec<Value>, stamp: &str) {
    let failed = sets
        .new
        .iter()
        .chain(&sets.old)
        .find_map(|set| condition::find(set.object.value(), "ReplicaFailure"));
    match failed {
        Some(found) => {
            let new = Condition::new(
                "ReplicaFailure",
                "True",
                condition::text(found, "reason"),
                condition::text(found, "message"),
            );
            condition::set(conditions, &new, stamp, UPDATED);
        }
        None => conditions.retain(|c| condition::text(c, "type") != "ReplicaFailure"),
    }
}

fn reason(conditions: &[Value], kind: &str) -> String {
    match condition::of_type(conditions, kind) {
        Some(found) => condition::text(found, "reason").to_owned(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {

    use k3s_client::Obj;
    use serde_json::json;

    use super::super::plan::tests::set;
    use super::*;

    fn with(status: Value) -> Deployment {
        let object = Obj::from_value(json!({"metadata": {"name": "d", "generation": 2},
            "spec": {"replicas": 2, "progressDeadlineSeconds": 60, "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}},
            "status": status}))
        .unwrap();
        Deployment::read(&object)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn sets(available: i64) -> Sets {
        Sets {
            new: Some(set("rs", 2, available)),
            old: vec![],
        }
    }

    fn progressing(status: &Value) -> String {
        condition::text(
            condition::find(&json!({"status": status.clone()}), "Progressing")
                .unwrap_or(&Value::Null),
            "reason",
        )
        .to_owned()
    }

    #[test]
    fn a_rollout_progresses_then_completes_and_stays_complete() {
        let first = status(&with(json!({})), &sets(0), Phase::Rolling, 0, at(0));
        assert_eq!(progressing(&first), "ReplicaSetUpdated");
        let done = status(&with(first.clone()), &sets(2), Phase::Rolling, 0, at(10));
        assert_eq!(progressing(&done), "NewReplicaSetAvailable");
        assert_eq!(done["availableReplicas"], 2);
        let again = status(&with(done.clone()), &sets(2), Phase::Rolling, 0, at(999));
        assert_eq!(again, done, "nothing to write when nothing changed");
        assert!(wait(&with(done.clone()), &done, at(10)).is_none());
    }

    #[test]
    fn a_stuck_rollout_times_out() {
        let first = status(&with(json!({})), &sets(0), Phase::Rolling, 0, at(0));
        assert_eq!(
            wait(&with(first.clone()), &first, at(0)),
            Some(Duration::from_secs(61))
        );
        let stuck = status(&with(first), &sets(0), Phase::Rolling, 0, at(61));
        assert_eq!(progressing(&stuck), "ProgressDeadlineExceeded");
    }
}
