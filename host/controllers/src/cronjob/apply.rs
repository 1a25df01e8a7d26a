//! One pass over a CronJob: delete Jobs that are too many, account for the others, start what is due, and
//! write the status.

use jiff::Timestamp;
use k3s_client::resources::{CRON_JOBS, JOBS};
use k3s_client::{DeleteParams, Obj, Object, uid_is};
use k3s_kinds::schedule::Schedule;
use k3s_meta::tree;
use k3s_reconcile::{Error, Outcome};
use serde_json::Value;

use super::due::{Run, Timing};
use super::status::Status;
use super::{CronJobController, history, model};
use crate::common::write;

/// Go's RFC 1123 with a numeric zone, which is UTC.
const RFC1123: &str = "%a, %d %b %Y %H:%M:%S +0000";

impl CronJobController {
    pub(super) async fn pass(&self, cron: &Obj, jobs: &[Object]) -> Result<Outcome, Error> {
        let mut status = Status::of(cron);
        for job in history::excess(cron.value(), jobs) {
            if !job.is_deleting() {
                // The event says why it failed. The next pass tries again.
                let _ = self.delete(cron, &job, &mut status).await;
            }
        }
        let outcome = self.sync(cron, jobs, &mut status).await;
        write::status(&self.client, &CRON_JOBS, cron, status.into_value()).await?;
        outcome
    }

    async fn sync(
        &self,
        cron: &Obj,
        jobs: &[Object],
        status: &mut Status,
    ) -> Result<Outcome, Error> {
        self.account(cron, jobs, status);
        self.forget_missing(cron, jobs, status).await?;
        if cron.is_deleting() || tree::flag(cron.value(), "spec.suspend") {
            return Ok(Outcome::Done);
        }
        let Some(schedule) = self.schedule(cron) else {
            return Ok(Outcome::Done);
        };
        let Some(timing) = Timing::read(cron, status, schedule) else {
            return Ok(Outcome::Done);
        };
        let now = self.clock.now();
        let run = match timing.due(now) {
            Ok(run) => run,
            Err(why) => {
                let schedule = tree::text(cron.value(), "spec.schedule");
                let message = format!("invalid schedule: {schedule} : {why}");
                self.recorder.warning(cron, "InvalidSchedule", message);
                return Ok(Outcome::Done);
            }
        };
        if let Some(run) = run
            && self.may_start(cron, status, &timing, run, now)
        {
            self.replace(cron, status).await?;
            self.start(cron, status, run.due).await?;
        }
        Ok(match timing.wait(now) {
            Some(wait) => Outcome::After(wait),
            None => Outcome::Done,
        })
    }

    /// Takes Jobs that ended from the active ones, and tells of strangers.
    fn account(&self, cron: &Obj, jobs: &[Object], status: &mut Status) {
        for job in jobs {
            let name = job.name();
            let Some(end) = model::end(job.value()) else {
                if !status.is_active(job.uid()) {
                    let message =
                        format!("Saw a job that the controller did not create or forgot: {name}");
                    self.recorder.warning(cron, "UnexpectedJob", message);
                }
                continue;
            };
            if status.remove(job.uid()) {
                let message = format!("Saw completed job: {name}, condition: {end}");
                self.recorder.normal(cron, "SawCompletedJob", message);
            }
            if end == "Complete" {
                status.succeeded(job.value());
            }
        }
    }

    /// Takes Jobs that do not exist from the active ones. The cache may not show a new Job yet, so the
    /// server is asked.
    async fn forget_missing(
        &self,
        cron: &Obj,
        jobs: &[Object],
        status: &mut Status,
    ) -> Result<(), Error> {
        for reference in status.active().to_vec() {
            let uid = tree::text(&reference, "uid");
            if jobs.iter().any(|job| job.uid() == uid) {
                continue;
            }
            let name = tree::text(&reference, "name");
            match self.client.get(&JOBS, cron.ns(), name).await {
                Ok(_) => {}
                Err(error) if error.is_not_found() => {
                    let message = format!("Active job went missing: {name}");
                    self.recorder.normal(cron, "MissingJob", message);
                    status.remove(uid);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn schedule(&self, cron: &Obj) -> Option<Schedule> {
        let text = tree::text(cron.value(), "spec.schedule");
        if text.contains("TZ") {
            let message = format!(
                "CRON_TZ or TZ used in schedule {text:?} is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
            );
            self.recorder.warning(cron, "UnsupportedSchedule", message);
        }
        match model::schedule(cron.value(), &self.local) {
            Ok(schedule) => Some(schedule),
            Err(why) => {
                self.recorder.warning(cron, why.reason(), why.to_string());
                None
            }
        }
    }

    fn may_start(
        &self,
        cron: &Obj,
        status: &Status,
        timing: &Timing,
        run: Run,
        now: Timestamp,
    ) -> bool {
        if run.missed_many {
            let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            self.recorder.warning(cron, "TooManyMissedTimes", message);
        }
        if timing.is_too_late(run, now) {
            let due = run.due.strftime(RFC1123);
            let message = format!("Missed scheduled time to start a job: {due}");
            self.recorder.warning(cron, "MissSchedule", message);
            return false;
        }
        let name = model::job_name(cron, run.due);
        if status.has_active_name(&name) || status.last_run() == Some(run.due) {
            return false;
        }
        let forbids = tree::text(cron.value(), "spec.concurrencyPolicy") == "Forbid";
        if forbids && !status.active().is_empty() {
            let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
            self.recorder.normal(cron, "JobAlreadyActive", message);
            return false;
        }
        true
    }

    /// Deletes the Jobs that run, where the next one replaces them.
    async fn replace(&self, cron: &Obj, status: &mut Status) -> Result<(), Error> {
        if tree::text(cron.value(), "spec.concurrencyPolicy") != "Replace" {
            return Ok(());
        }
        for reference in status.active().to_vec() {
            let name = tree::text(&reference, "name");
            match self.client.get(&JOBS, cron.ns(), name).await {
                Ok(job) => self.delete(cron, &job, status).await?,
                Err(error) => {
                    let message = format!("Get job: {error}");
                    self.recorder.warning(cron, "FailedGet", message);
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Deletes this very Job and takes it from the active ones.
    async fn delete(&self, cron: &Obj, job: &Obj, status: &mut Status) -> Result<(), Error> {
        let params = DeleteParams::background().preconditions(uid_is(job.uid()));
        let deleted = self
            .client
            .delete(&JOBS, job.ns(), job.name(), &params)
            .await;
        match deleted {
            Ok(_) => {
                let message = format!("Deleted job {}", job.name());
                self.recorder.normal(cron, "SuccessfulDelete", message);
            }
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(error) => {
                let message = format!("Deleted job: {error}");
                self.recorder.warning(cron, "FailedDelete", message);
                return Err(error.into());
            }
        }
        status.remove(job.uid());
        Ok(())
    }

    async fn start(&self, cron: &Obj, status: &mut Status, due: Timestamp) -> Result<(), Error> {
        let body = model::job(cron, due);
        let made = self.client.create(&JOBS, cron.ns(), &body).await;
        match made {
            Ok(job) => {
                let message = format!("Created job {}", job.name());
                self.recorder.normal(cron, "SuccessfulCreate", message);
                status.started(&job, due);
            }
            Err(error) if error.is_already_exists() => {
                self.adopt_run(cron, status, &body, due).await?;
            }
            // Such a namespace takes no Jobs and never will again.
            Err(error) if error.is_namespace_terminating() => {}
            Err(error) => {
                let message = format!("Error creating job: {error}");
                self.recorder.warning(cron, "FailedCreate", message);
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Notes a Job that an earlier pass made without writing the status. One of another owner is left
    /// alone.
    async fn adopt_run(
        &self,
        cron: &Obj,
        status: &mut Status,
        body: &Value,
        due: Timestamp,
    ) -> Result<(), Error> {
        let name = tree::text(body, "metadata.name");
        let job = self.client.get(&JOBS, cron.ns(), name).await?;
        let is_own = job
            .controller()
            .is_some_and(|owner| owner.uid == cron.uid());
        if is_own && !status.is_active(job.uid()) {
            status.started(&job, due);
        }
        Ok(())
    }
}
