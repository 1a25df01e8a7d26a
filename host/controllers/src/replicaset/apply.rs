//! Creating and deleting the Pods of a set.

use std::iter::repeat_n;
use std::time::Duration;

use k3s_client::informer::BY_OWNER;
use k3s_client::resources::REPLICA_SETS;
use k3s_client::{Obj, Object};
use k3s_meta::tree;
use k3s_reconcile::Error;
use serde_json::Value;

use super::plan::plan;
use super::{ORPHANS, ReplicaSetController};
use crate::common::pod_control::PodControl;
use crate::common::template;

impl ReplicaSetController {
    /// The Pods that are the set's, or could be.
    pub(super) fn candidates(&self, set: &Obj) -> Vec<Object> {
        let mut pods = self.pods.by_index(BY_OWNER, set.uid());
        pods.extend(self.pods.by_index(ORPHANS, set.namespace()));
        pods
    }

    /// Returns when the Pods are due that are missing and must not be made yet.
    pub(super) async fn manage(
        &self,
        set: &Obj,
        active: &[Object],
    ) -> Result<Option<Duration>, Error> {
        let desired = tree::int(set.value(), "spec.replicas").unwrap_or(1);
        let related = self.related(set);
        let mut plan = plan(desired, active, &related);
        let wait = self.failures.wait(set.uid()).filter(|_| plan.create > 0);
        if wait.is_some() {
            plan.create = 0;
        }
        let template = tree::get(set.value(), "spec.template").unwrap_or(&Value::Null);
        let pod = template::pod(template, set, &self.family.resource);
        let creations = repeat_n(pod, plan.create);
        let control = PodControl {
            client: &self.client,
            recorder: &self.recorder,
            expectations: &self.expectations,
            owner: set,
        };
        control.carry_out(creations, &plan.delete).await?;
        Ok(wait)
    }

    /// The Pods of all sets under the same Deployment, or of this set alone.
    fn related(&self, set: &Obj) -> Vec<Object> {
        let is_replica_set = self.family.resource == REPLICA_SETS;
        let owner = match set.controller() {
            Some(owner) if is_replica_set => owner,
            _ => return self.pods.by_index(BY_OWNER, set.uid()),
        };
        let mut pods = Vec::new();
        for sibling in self.sets.by_index(BY_OWNER, &owner.uid) {
            let own = self.pods.by_index(BY_OWNER, sibling.uid());
            pods.extend(own);
        }
        pods
    }
}
