//! One pass over a DaemonSet.

use std::time::Duration;

use k3s_base::BackoffPolicy;
use k3s_client::resources::PODS;
use k3s_client::{DeleteParams, Object, uid_is};
use k3s_meta::tree;
use k3s_reconcile::{Error, Outcome};

use super::DaemonSetController;
use super::model::{DaemonSet, by_node, node_of};
use super::nodes;
use super::plan::{Observed, Plan, place, roll};
use crate::common::batch::slow_start;
use crate::common::number::count;

/// At most so many creations and deletions in one go.
const BURST: usize = 250;
/// A daemon that keeps ending is made anew after this.
const FAILED: BackoffPolicy = BackoffPolicy {
    base: Duration::from_secs(1),
    factor: 2.0,
    cap: Duration::from_secs(15 * 60),
    jitter: 0.0,
};

/// Back-offs that have passed are forgotten beyond this.
const MAX_FAILURES: usize = 10_000;

impl DaemonSetController {
    pub(super) async fn pass(
        &self,
        daemon: &DaemonSet,
        pods: Vec<Object>,
        may_act: bool,
    ) -> Result<Outcome, Error> {
        let hash = self.current_hash(daemon, &pods).await?;
        let nodes = nodes::wanted(daemon, &self.nodes.list());
        let by_node = by_node(&pods);
        let observed = Observed {
            nodes: &nodes,
            pods: &by_node,
            hash: &hash,
            min_ready_seconds: daemon.min_ready_seconds,
            now: self.clock.now(),
        };
        let acted = if may_act {
            self.act(daemon, &observed).await
        } else {
            Ok(None)
        };
        let wait = self.write_status(daemon, &observed).await?;
        let next = [acted?, wait].into_iter().flatten().min();
        Ok(next.map_or(Outcome::Done, Outcome::After))
    }

    async fn act(
        &self,
        daemon: &DaemonSet,
        observed: &Observed<'_>,
    ) -> Result<Option<Duration>, Error> {
        let wanted = count(observed.nodes.iter().filter(|(_, fit)| fit.run).count());
        let limits = daemon.limits(wanted);
        let mut plan = place(observed, limits.is_some_and(|(surge, _)| surge > 0));
        if let (Some((surge, unavailable)), true) =
            (limits, plan.create.is_empty() && plan.delete.is_empty())
        {
            plan = roll(observed, surge, unavailable);
        }
        let held = self.hold_back(daemon, &mut plan);
        self.perform(daemon, observed.hash, plan).await?;
        Ok(held)
    }

    async fn perform(&self, daemon: &DaemonSet, hash: &str, mut plan: Plan) -> Result<(), Error> {
        plan.create.truncate(BURST);
        plan.delete.truncate(BURST);
        if plan.create.is_empty() && plan.delete.is_empty() {
            return Ok(());
        }
        let key = daemon.object.key();
        self.expectations.expect(
            key,
            plan.create.len(),
            plan.delete.iter().map(|o| o.uid().to_owned()),
        );
        let deleted = futures_util::future::join_all(
            plan.delete.iter().map(|object| self.delete(daemon, object)),
        )
        .await;
        let wanted = plan.create.len();
        let nodes = &plan.create;
        let (done, error) = slow_start(wanted, |n| async move {
            let Some(node) = nodes.get(n) else {
                return Ok(());
            };
            self.create(daemon, node, hash).await
        })
        .await;
        (done..wanted).for_each(|_| self.expectations.creation_observed(key));
        match error {
            Some(error) if !error.is_namespace_terminating() => {
                self.recorder.warning(
                    &*daemon.object,
                    "FailedCreate",
                    format!("Error creating: {error}"),
                );
                Err(error.into())
            }
            _ => deleted.into_iter().collect(),
        }
    }

    /// A daemon that keeps ending on a node is deleted (and so made anew) later each time.
    /// Returns when the next one is due.
    fn hold_back(&self, daemon: &DaemonSet, plan: &mut Plan) -> Option<Duration> {
        let (now, mut next) = (self.clock.elapsed(), None::<Duration>);
        let mut failures = self.failures.lock();
        for object in &plan.failed {
            let node = node_of(object);
            let entry = failures
                .entry(format!("{} {node}", daemon.object.uid()))
                .or_insert((0, Duration::ZERO));
            if entry.1 > now {
                let left = entry.1.saturating_sub(now);
                next = Some(next.map_or(left, |n| n.min(left)));
                plan.delete.retain(|other| other.uid() != object.uid());
                continue;
            }
            *entry = (entry.0 + 1, now + FAILED.delay(entry.0));
            let phase = &crate::common::pod::of(object).status.phase;
            let (reason, word) = if phase == "Failed" {
                ("FailedDaemonPod", "failed")
            } else {
                ("SucceededDaemonPod", "succeeded")
            };
            let message = format!(
                "Found {word} daemon pod {} on node {node}, will try to delete it",
                object.key()
            );
            self.recorder.warning(&*daemon.object, reason, message);
        }
        if failures.len() > MAX_FAILURES {
            failures.retain(|_, (_, due)| *due > now);
        }
        next
    }

    async fn create(&self, daemon: &DaemonSet, node: &str, hash: &str) -> k3s_client::Result<()> {
        let generation = tree::int(daemon.object.value(), "metadata.generation").unwrap_or(0);
        let body = nodes::pod(daemon, node, hash, generation);
        let made = self.client.create(&PODS, daemon.object.ns(), &body).await?;
        self.recorder.normal(
            &*daemon.object,
            "SuccessfulCreate",
            format!("Created pod: {}", made.name()),
        );
        Ok(())
    }

    async fn delete(&self, daemon: &DaemonSet, object: &Object) -> Result<(), Error> {
        let params = DeleteParams::default().preconditions(uid_is(object.uid()));
        match self
            .client
            .delete(&PODS, object.ns(), object.name(), &params)
            .await
        {
            Ok(_) => {
                self.recorder.normal(
                    &*daemon.object,
                    "SuccessfulDelete",
                    format!("Deleted pod: {}", object.name()),
                );
                Ok(())
            }
            Err(error) => {
                self.expectations
                    .deletion_observed(daemon.object.key(), object.uid());
                if error.is_not_found() || error.is_conflict() {
                    Ok(())
                } else {
                    Err(error.into())
                }
            }
        }
    }
}
