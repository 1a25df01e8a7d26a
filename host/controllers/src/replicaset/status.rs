//! The status of a set.

use std::time::Duration;

use jiff::Timestamp;
use k3s_base::clock::rfc3339;
use k3s_client::{Obj, Object};
use k3s_meta::object::string_map;
use k3s_meta::tree;
use k3s_reconcile::Error;
use serde_json::{Map, Value};

use super::ReplicaSetController;
use crate::common::condition::{self, Condition};
use crate::common::number::count;
use crate::common::pod::{self, Availability};
use crate::common::{time, write};

/// Numbers of Pods.
#[derive(Default)]
struct Counts {
    labeled: i64,
    ready: i64,
    available: i64,
}

/// A status, and when it will change without any event.
pub(super) fn status(
    set: &Value,
    active: &[Object],
    failure: Option<&str>,
    now: Timestamp,
) -> (Value, Option<Duration>) {
    let (counts, wait) = observe(set, active, now);
    let replicas = count(active.len());
    let conditions = conditions(set, active, failure, now);
    let generation = tree::int(set, "metadata.generation").unwrap_or(0);
    let mut status = Map::new();
    status.insert("replicas".into(), replicas.into());
    status.insert("conditions".into(), conditions.into());
    let numbers = [
        ("fullyLabeledReplicas", counts.labeled),
        ("readyReplicas", counts.ready),
        ("availableReplicas", counts.available),
        ("observedGeneration", generation),
    ];
    write::set_counts(&mut status, &numbers);
    (Value::Object(status), wait)
}

fn observe(set: &Value, active: &[Object], now: Timestamp) -> (Counts, Option<Duration>) {
    let template_labels = string_map(tree::get(set, "spec.template.metadata.labels"));
    let min_ready = tree::int(set, "spec.minReadySeconds").unwrap_or(0);
    let mut counts = Counts::default();
    let mut wait = None;
    for object in active {
        let view = pod::of(object);
        let is_labeled = pod::has_labels(object, &template_labels);
        counts.labeled += i64::from(is_labeled);
        counts.ready += i64::from(view.is_ready());
        match pod::availability(view, min_ready, now) {
            Availability::Yes => counts.available += 1,
            Availability::In(left) => wait = Some(time::sooner(wait, left)),
            Availability::No => {}
        }
    }
    (counts, wait)
}

fn conditions(set: &Value, active: &[Object], failure: Option<&str>, now: Timestamp) -> Vec<Value> {
    let mut conditions = condition::of(set);
    match failure {
        Some(message) => {
            let desired = tree::int(set, "spec.replicas").unwrap_or(1);
            let reason = if count(active.len()) < desired {
                "FailedCreate"
            } else {
                "FailedDelete"
            };
            condition::set(
                &mut conditions,
                &Condition::new("ReplicaFailure", "True", reason, message),
                &rfc3339(now),
                None,
            );
        }
        None => conditions.retain(|c| condition::text(c, "type") != "ReplicaFailure"),
    }
    conditions
}

impl ReplicaSetController {
    pub(super) async fn write_status(
        &self,
        set: &Obj,
        active: &[Object],
        failure: Option<&Error>,
    ) -> Result<Option<Duration>, Error> {
        let now = self.clock.now();
        let failure = failure.map(ToString::to_string);
        let (status, wait) = status(set.value(), active, failure.as_deref(), now);
        write::status(&self.client, &self.family.resource, set, status).await?;
        Ok(wait)
    }
}
