//! One pass over a Job: count, decide, write the status, release Pods, create or delete some.

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
        let account = account(job, &pods);
        if job.is_finished() {
            // What is left are the finalizers of Pods that ended after the Job.
            return self.release(&account).await.map(|()| Outcome::Done);
        }
        let end = plan::end(job, &account, now);
        let sizing = self.sizing(job, &account, &pods, end.as_ref());
        let ended = end.is_some()
            && account.active.is_empty()
            && account.terminating == 0
            && !account.tally.has_uncounted();
        let status = status::status(job, &account, end.as_ref(), ended, now);
        write::status(&self.client, &JOBS, &job.object, status).await?;
        if let Some(end) = end.as_ref().filter(|_| ended) {
            self.announce(job, end);
        }
        self.release(&account).await?;
        if may_act && !job.object.is_deleting() && !ended {
            self.resize(job, &account, &sizing).await?;
        }
        let deadline =
            plan::deadline_left(job, now).filter(|left| !left.is_zero() && end.is_none());
        let next = [sizing.wait, deadline].into_iter().flatten().min();
        Ok(next.map_or(Outcome::Done, Outcome::After))
    }

    fn sizing(&self, job: &Job, account: &Account, pods: &[Object], end: Option<&End>) -> Sizing {
        if end.is_some() {
            return Sizing {
                delete: account.active.clone(),
                ..Sizing::default()
            };
        }
        let mut sizing = plan::size(job, account, pods, self.clock.now());
        if job.indexed && !job.suspended {
            let extra = pods::superfluous(job, account);
            sizing
                .delete
                .retain(|o| extra.iter().all(|e| e.uid() != o.uid()));
            sizing.delete.extend(extra);
        }
        sizing
    }

    fn announce(&self, job: &Job, end: &End) {
        match end {
            End::Complete => self
                .recorder
                .normal(&*job.object, "Completed", "Job completed"),
            End::Failed { reason, message } => {
                self.recorder
                    .warning(&*job.object, reason, message.as_str())
            }
        }
    }

    async fn release(&self, account: &Account) -> Result<(), Error> {
        let stripped =
            futures_util::future::join_all(account.settled.iter().map(|object| self.strip(object)))
                .await;
        stripped.into_iter().collect()
    }

    /// Deletes Pods that are too many, or else creates those that are missing.
    async fn resize(&self, job: &Job, account: &Account, sizing: &Sizing) -> Result<(), Error> {
        let indexes: Vec<Option<i64>> = if !sizing.delete.is_empty() {
            Vec::new()
        } else if job.indexed {
            let free = pods::free_indexes(job, account, sizing.create);
            free.into_iter().map(Some).collect()
        } else {
            vec![None; sizing.create]
        };
        let control = PodControl {
            client: &self.client,
            recorder: &self.recorder,
            expectations: &self.expectations,
            owner: &job.object,
        };
        let bodies = indexes.into_iter().map(|index| pods::pod(job, index));
        control.carry_out(bodies, &sizing.delete).await
    }
}
