//! CronJob: a Job at each time that a schedule names. Upstream: `pkg/controller/cronjob`.
//!
//! A run's Job is named after the minute it was due, so that it is made once even if the status that
//! says so was not written. Of runs that were missed only the last one is made up for.

mod apply;
mod due;
mod history;
mod model;
mod status;

use std::time::Duration;

use jiff::tz::TimeZone;
use k3s_base::Clock;
use k3s_client::informer::BY_OWNER;
use k3s_client::resources::{CRON_JOBS, JOBS};
use k3s_client::{Client, EventRecorder, Informer, InformerEvent, Object, WorkQueue, key};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};

use crate::context::Context;
use due::Timing;
use status::Status;

struct CronJobController {
    client: Client,
    clock: Clock,
    recorder: EventRecorder,
    /// The zone of schedules that name none.
    local: TimeZone,
    cron_jobs: Informer,
    jobs: Informer,
}

pub(crate) fn start(context: &Context) {
    let client = context.client("cronjob-controller");
    let cron_jobs = context.informers.all(&CRON_JOBS);
    let jobs = context.informers.all(&JOBS);
    let reconciler = CronJobController {
        recorder: context.recorder(&client, "cronjob-controller"),
        client,
        clock: context.clock(),
        local: TimeZone::system(),
        cron_jobs: cron_jobs.clone(),
        jobs: jobs.clone(),
    };
    let controller = Controller::new("cronjob-controller").workers(5);
    let changes = Changes {
        queue: controller.queue(),
        clock: context.clock(),
        local: reconciler.local.clone(),
    };
    controller
        .watch(&cron_jobs, move |event| changes.keys(event))
        .watch(&jobs, job_changed)
        .run(reconciler, &context.statuses, &context.tasks);
}

/// What follows from a change of a CronJob.
struct Changes {
    queue: WorkQueue<Key>,
    clock: Clock,
    local: TimeZone,
}

impl Changes {
    fn keys(&self, event: &InformerEvent) -> Vec<Key> {
        let key = event.object().key().clone();
        match self.wait(event) {
            Some(wait) => {
                self.queue.add_after(key, wait);
                Vec::new()
            }
            None => vec![key],
        }
    }

    /// Another schedule starts with its next run: those that it would have had before are not made up for.
    fn wait(&self, event: &InformerEvent) -> Option<Duration> {
        let InformerEvent::Updated { old, new } = event else {
            return None;
        };
        let field = |object: &Object, path| tree::get(object.value(), path).cloned();
        let is_same = |path| field(old, path) == field(new, path);
        if is_same("spec.schedule") && is_same("spec.timeZone") {
            return None;
        }
        let schedule = model::schedule(new.value(), &self.local).ok()?;
        let timing = Timing::read(new, &Status::of(new), schedule)?;
        timing.wait(self.clock.now())
    }
}

fn job_changed(event: &InformerEvent) -> Vec<Key> {
    let job = event.object();
    match job.controller() {
        Some(owner) if owner.kind == "CronJob" => vec![key(job.namespace(), &owner.name)],
        _ => Vec::new(),
    }
}

impl Reconciler for CronJobController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(cached) = self.cron_jobs.get(key) else {
            return Ok(Outcome::Done);
        };
        let mut jobs = self.jobs.by_index(BY_OWNER, cached.uid());
        jobs.retain(|job| {
            job.controller()
                .is_some_and(|owner| owner.uid == cached.uid())
        });
        let cron = self.fresh(cached, &jobs).await?;
        self.pass(&cron, &jobs).await
    }
}

impl CronJobController {
    /// The CronJob, read from the server if an unfinished Job is not among the active ones of the cache:
    /// what was written last may not have arrived there.
    async fn fresh(&self, cached: Object, jobs: &[Object]) -> Result<Object, Error> {
        let status = Status::of(&cached);
        let is_known =
            |job: &Object| model::end(job.value()).is_some() || status.is_active(job.uid());
        if jobs.iter().all(is_known) {
            return Ok(cached);
        }
        let current = self
            .client
            .get(&CRON_JOBS, cached.ns(), cached.name())
            .await?;
        Ok(current)
    }
}
