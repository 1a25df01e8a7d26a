//! One pass over a DaemonSet.

use std::time::Duration;

use k3s_client::Object;
use k3s_reconcile::{Error, Outcome};

use super::DaemonSetController;
use super::model::{DaemonSet, by_node, node_of};
use super::nodes;
use super::plan::{Observed, Plan, place, roll};
use crate::common::number::count;
use crate::common::pod_control::PodControl;
use crate::common::{pod, time};

/// At most so many creations and deletions in one go.
const BURST: usize = 250;

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
        match next {
            Some(next) => Ok(Outcome::After(next)),
            None => Ok(Outcome::Done),
        }
    }

    async fn act(
        &self,
        daemon: &DaemonSet,
        observed: &Observed<'_>,
    ) -> Result<Option<Duration>, Error> {
        let wanted = count(observed.wanted().count());
        let limits = daemon.limits(wanted);
        let may_surge = limits.is_some_and(|(surge, _)| surge > 0);
        let mut plan = place(observed, may_surge);
        let is_placed = plan.create.is_empty() && plan.delete.is_empty();
        if let Some((surge, unavailable)) = limits
            && is_placed
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
        let generation = daemon.object.meta().generation;
        let control = PodControl {
            client: &self.client,
            recorder: &self.recorder,
            expectations: &self.expectations,
            owner: &daemon.object,
        };
        let nodes = plan.create.iter();
        let bodies = nodes.map(|node| nodes::pod(daemon, node, hash, generation));
        control.carry_out(bodies, &plan.delete).await
    }

    /// A daemon that keeps ending on a node is deleted, and so created again, later each time.
    /// Returns when the next one is due.
    fn hold_back(&self, daemon: &DaemonSet, plan: &mut Plan) -> Option<Duration> {
        let mut next = None;
        for object in &plan.failed {
            let node = node_of(object);
            let key = format!("{} {node}", daemon.object.uid());
            if let Some(left) = self.failures.wait(&key) {
                next = Some(time::sooner(next, left));
                plan.delete.retain(|other| other.uid() != object.uid());
                continue;
            }
            self.failures.failed(&key);
            self.announce_end(daemon, object, &node);
        }
        next
    }

    fn announce_end(&self, daemon: &DaemonSet, pod: &Object, node: &str) {
        let phase = &pod::of(pod).status.phase;
        let (reason, word) = if phase == "Failed" {
            ("FailedDaemonPod", "failed")
        } else {
            ("SucceededDaemonPod", "succeeded")
        };
        let message = format!(
            "Found {word} daemon pod {} on node {node}, will try to delete it",
            pod.key()
        );
        self.recorder.warning(&*daemon.object, reason, message);
    }
}
