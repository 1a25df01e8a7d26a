//! The status of a DaemonSet.

use std::time::Duration;

use k3s_client::resources::DAEMON_SETS;
use k3s_reconcile::Error;
use serde_json::{Map, Value};

use super::DaemonSetController;
use super::model::DaemonSet;
use super::plan::Observed;
use crate::common::pod::{self, Availability};
use crate::common::{time, write};

#[derive(Default)]
struct Counts {
    desired: i64,
    current: i64,
    misscheduled: i64,
    ready: i64,
    available: i64,
    updated: i64,
}

fn observe(observed: &Observed<'_>) -> (Counts, Option<Duration>) {
    let mut counts = Counts::default();
    let mut wait = None;
    for (node, fit) in observed.nodes {
        let first = observed.first_on(node.name());
        if !fit.run {
            counts.misscheduled += i64::from(first.is_some());
            continue;
        }
        counts.desired += 1;
        let Some(object) = first else {
            continue;
        };
        let is_ready = pod::of(object).is_ready();
        let is_updated = observed.is_new(object);
        counts.current += 1;
        counts.ready += i64::from(is_ready);
        counts.updated += i64::from(is_updated);
        match observed.availability(object) {
            Availability::Yes => counts.available += 1,
            Availability::In(left) => wait = Some(time::sooner(wait, left)),
            Availability::No => {}
        }
    }
    (counts, wait)
}

fn written(daemon: &DaemonSet, counts: &Counts) -> Value {
    // The first four are always there, the others only when not zero, as upstream encodes them.
    let mut status = Map::new();
    for (field, number) in [
        ("desiredNumberScheduled", counts.desired),
        ("currentNumberScheduled", counts.current),
        ("numberMisscheduled", counts.misscheduled),
        ("numberReady", counts.ready),
    ] {
        status.insert(field.to_owned(), number.into());
    }
    let unavailable = counts.desired - counts.available;
    let generation = daemon.object.meta().generation;
    let optional = [
        ("numberAvailable", counts.available),
        ("numberUnavailable", unavailable),
        ("updatedNumberScheduled", counts.updated),
        ("observedGeneration", generation),
        ("collisionCount", daemon.collisions()),
    ];
    write::set_counts(&mut status, &optional);
    Value::Object(status)
}

impl DaemonSetController {
    pub(super) async fn write_status(
        &self,
        daemon: &DaemonSet,
        observed: &Observed<'_>,
    ) -> Result<Option<Duration>, Error> {
        let (counts, wait) = observe(observed);
        write::status(
            &self.client,
            &DAEMON_SETS,
            &daemon.object,
            written(daemon, &counts),
        )
        .await?;
        Ok(wait)
    }
}
