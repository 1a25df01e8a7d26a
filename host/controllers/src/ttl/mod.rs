//! Finished Jobs go after `ttlSecondsAfterFinished`.

use std::time::Duration;

use jiff::Timestamp;
use k3s_client::resources::JOBS;
use k3s_client::{Client, DeleteParams, Informer, InformerEvent, unchanged};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use serde_json::Value;

use crate::common::{condition, time};
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
        .watch(&jobs, job_changed)
        .run(reconciler, &context.statuses, &context.tasks);
}

fn job_changed(event: &InformerEvent) -> Vec<Key> {
    let job = event.object();
    if event.is_deleted() || expiry(job.value()).is_none() {
        return Vec::new();
    }
    vec![job.key().clone()]
}

/// When the Job finished and how long it stays.
fn expiry(job: &Value) -> Option<(Timestamp, Duration)> {
    let ttl = tree::int(job, "spec.ttlSecondsAfterFinished")?;
    let finished = finished(job)?;
    let seconds = ttl.max(0).unsigned_abs();
    Some((finished, Duration::from_secs(seconds)))
}

fn finished(job: &Value) -> Option<Timestamp> {
    for entry in tree::list(job, "status.conditions") {
        if condition::text(entry, "status") != "True" {
            continue;
        }
        match condition::text(entry, "type") {
            "Complete" | "Failed" => {
                let since = condition::text(entry, "lastTransitionTime");
                return time::parse(since);
            }
            _ => {}
        }
    }
    None
}

impl Reconciler for TtlController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(job) = self.jobs.get(key) else {
            return Ok(Outcome::Done);
        };
        if job.is_deleting() {
            return Ok(Outcome::Done);
        }
        let Some((finished, ttl)) = expiry(job.value()) else {
            return Ok(Outcome::Done);
        };
        let now = self.clock.now();
        if let Some(left) = time::until(now, finished, ttl) {
            return Ok(Outcome::After(left));
        }
        // The TTL may have been raised since, so only the version that was read is deleted.
        let same_version = unchanged(job.uid(), job.resource_version());
        let params = DeleteParams::foreground().preconditions(same_version);
        let deleted = self
            .client
            .delete(&JOBS, job.ns(), job.name(), &params)
            .await;
        match deleted {
            Ok(_) => Ok(Outcome::Done),
            Err(error) if error.is_not_found() => Ok(Outcome::Done),
            Err(error) => Err(error.into()),
        }
    }
}
