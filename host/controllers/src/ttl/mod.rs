//! Finished Jobs go after `ttlSecondsAfterFinished`.

use std::time::Duration;

use jiff::Timestamp;
use k3s_client::resources::JOBS;
use k3s_client::{Client, DeleteParams, Informer, unchanged};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use serde_json::Value;

use crate::common::time;
use crate::context::Context;

struct TtlController {
    client: Client,
    clock: k3s_base::Clock,
    jobs: Informer,
}

pub(crate) fn start(context: &Context) {
    let jobs = context.informers.all(&JOBS);
    let reconciler = TtlController {
        client: context.client("ttl-after-finished-controller"),
        clock: context.clock(),
        jobs: jobs.clone(),
    };
    Controller::new("ttl-after-finished-controller")
        .watch(&jobs, |event| {
            let due = !event.is_deleted() && expiry(event.object().value()).is_some();
            due.then(|| event.object().key().clone())
                .into_iter()
                .collect()
        })
        .run(reconciler, &context.statuses, &context.tasks);
}

/// When the Job finished and how long it stays.
fn expiry(job: &Value) -> Option<(Timestamp, Duration)> {
    let ttl = tree::int(job, "spec.ttlSecondsAfterFinished")?;
    let finished = tree::list(job, "status.conditions").iter().find(|c| {
        matches!(tree::text(c, "type"), "Complete" | "Failed") && tree::text(c, "status") == "True"
    })?;
    Some((
        time::parse(tree::text(finished, "lastTransitionTime"))?,
        Duration::from_secs(ttl.max(0).unsigned_abs()),
    ))
}

impl Reconciler for TtlController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(job) = self.jobs.get(key).filter(|job| !job.is_deleting()) else {
            return Ok(Outcome::Done);
        };
        let Some((finished, ttl)) = expiry(job.value()) else {
            return Ok(Outcome::Done);
        };
        if let Some(left) = time::until(self.clock.now(), finished, ttl) {
            return Ok(Outcome::After(left));
        }
        // The TTL may have been raised since, so only the version that was read is deleted.
        let params =
            DeleteParams::foreground().preconditions(unchanged(job.uid(), job.resource_version()));
        match self
            .client
            .delete(&JOBS, job.ns(), job.name(), &params)
            .await
        {
            Err(error) if error.is_not_found() => Ok(Outcome::Done),
            result => Ok(result.map(|_| Outcome::Done)?),
        }
    }
}
