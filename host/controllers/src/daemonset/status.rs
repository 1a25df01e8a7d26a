//! The status of a DaemonSet.

use std::time::Duration;

use k3s_client::resources::DAEMON_SETS;
use k3s_reconcile::Error;
use serde_json::{Value, json};

use super::DaemonSetController;
use super::model::{DaemonSet, HASH_LABEL};
use super::plan::Observed;
use crate::common::pod::{self, Availability};
use crate::common::write;

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
    let (mut counts, mut wait) = (Counts::default(), None::<Duration>);
    for (node, fit) in observed.nodes {
        let first = observed
            .pods
            .get(node.name())
            .and_then(|pods| pods.iter().find(|o| !o.is_deleting()).or(pods.first()));
        if !fit.run {
            counts.misscheduled += i64::from(first.is_some());
            continue;
        }
        counts.desired += 1;
        let Some(object) = first else { continue };
        counts.current += 1;
        let view = pod::of(object);
        counts.ready += i64::from(view.is_ready());
        counts.updated += i64::from(object.label(HASH_LABEL) == Some(observed.hash));
        match pod::availability(view, observed.min_ready_seconds, observed.now) {
            Availability::Yes => counts.available += 1,
            Availability::In(left) => wait = Some(wait.map_or(left, |w| w.min(left))),
            Availability::No => {}
        }
    }
    (counts, wait)
}

fn written(daemon: &DaemonSet, counts: &Counts) -> Value {
    // The first four are always there, the others only when not zero, as upstream encodes them.
    let mut status = json!({
        "desiredNumberScheduled": counts.desired,
        "currentNumberScheduled": counts.current,
        "numberMisscheduled": counts.misscheduled,
        "numberReady": counts.ready,
    });
    let optional = [
        ("numberAvailable", counts.available),
        ("numberUnavailable", counts.desired - counts.available),
        ("updatedNumberScheduled", counts.updated),
        ("observedGeneration", daemon.object.meta().generation),
        ("collisionCount", daemon.collisions()),
    ];
    if let Some(map) = status.as_object_mut() {
        map.extend(
            optional
                .into_iter()
                .filter(|(_, n)| *n != 0)
                .map(|(name, n)| (name.to_owned(), n.into())),
        );
    }
    status
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
