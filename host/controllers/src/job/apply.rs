//! One pass over a Job: count, decide, write the status, release Pods, create or delete some.

use futures_util::future::join_all;
use k3s_client::Object;
use k3s_client::resources::JOBS;
use k3s_reconcile::{Error, Outcome};

use super::JobController;
use super::account::{Account, account};
use super::model::Job;
use super::plan::{self, End, Sizing};
use super::{pods, status};
use crate::common::pod_control::PodControl;
use crate::common::write;

impl JobController {
    pub(super) async fn pass(
        &self,
        job: &Job,
        pods: Vec<Object>,
        may_act: bool,
    ) -> Result<Outcome, Error> {
        let now = self.clock.now();
        let mut account = account(job, &pods);
        if job.is_finished() {
            // What is left are the finalizers of Pods that ended after the Job.
            account.give_up(job);
            self.release(&account).await?;
            return Ok(Outcome::Done);
        }
        let end = plan::end(job, &account, now);
        if end.is_some() || job.object.is_deleting() {
            account.give_up(job);
        }
        let sizing = self.sizing(job, &account, &pods, end.as_ref());
        let ended = end.is_some() && account.is_closed();
        let status = status::status(job, &account, end.as_ref(), ended, now);
        write::status(&self.client, &JOBS, &job.object, status).await?;
        if let Some(end) = &end
            && ended
        {
            self.announce(job, end);
        }
        self.release(&account).await?;
        let may_resize = may_act && !ended && !job.object.is_deleting();
        if may_resize {
            self.resize(job, &account, &sizing).await?;
        }
        let mut deadline = None;
        if end.is_none() {
            deadline = plan::deadline_left(job, now);
        }
        let next = [sizing.wait, deadline]
            .into_iter()
            .flatten()
            .filter(|wait| !wait.is_zero())
            .min();
        match next {
            Some(next) => Ok(Outcome::After(next)),
            None => Ok(Outcome::Done),
        }
    }

    fn sizing(&self, job: &Job, account: &Account, pods: &[Object], end: Option<&End>) -> Sizing {
        if end.is_some() {
            return Sizing {
                delete: account.active.clone(),
                ..Sizing::default()
            };
        }
        let now = self.clock.now();
        let mut sizing = plan::size(job, account, pods, now);
        if job.indexed && !job.suspended {
            let superfluous = pods::superfluous(job, account);
            sizing.delete.retain(|object| {
                let uid = object.uid();
                superfluous.iter().all(|other| other.uid() != uid)
            });
            sizing.delete.extend(superfluous);
        }
        sizing
    }

    fn announce(&self, job: &Job, end: &End) {
        match end {
            End::Complete { .. } => {
                self.recorder
                    .normal(&*job.object, "Completed", "Job completed")
            }
            End::Failed { reason, message } => {
                self.recorder
                    .warning(&*job.object, reason, message.as_str())
            }
        }
    }

    async fn release(&self, account: &Account) -> Result<(), Error> {
        let strips = account.settled.iter().map(|object| self.strip(object));
        let stripped = join_all(strips).await;
        stripped.into_iter().collect()
    }

    /// Deletes Pods that are too many, or else creates those that are missing.
    async fn resize(&self, job: &Job, account: &Account, sizing: &Sizing) -> Result<(), Error> {
        let indexes: Vec<Option<i64>> = if !sizing.delete.is_empty() {
            Vec::new()
        } else if job.indexed {
            sizing.indexes.iter().copied().map(Some).collect()
        } else {
            vec![None; sizing.create]
        };
        let control = PodControl {
            client: &self.client,
            recorder: &self.recorder,
            expectations: &self.expectations,
            owner: &job.object,
        };
        let bodies = indexes
            .into_iter()
            .map(|index| pods::pod(job, account, index));
        control.carry_out(bodies, &sizing.delete).await
    }
}
