//! Creating and deleting the Pods of a set.

use k3s_client::informer::BY_OWNER;
use k3s_client::resources::{PODS, REPLICA_SETS};
use k3s_client::{DeleteParams, Obj, Object, uid_is};
use k3s_meta::tree;
use k3s_reconcile::Error;
use serde_json::Value;

use super::plan::{Plan, plan};
use super::{ORPHANS, ReplicaSetController};
use crate::common::batch::slow_start;
use crate::common::template;

impl ReplicaSetController {
    /// The Pods that are the set's, or could be.
    pub(super) fn candidates(&self, set: &Obj) -> Vec<Object> {
        let mut pods = self.pods.by_index(BY_OWNER, set.uid());
        pods.extend(self.pods.by_index(ORPHANS, set.namespace()));
        pods
    }

    pub(super) async fn manage(&self, set: &Obj, active: &[Object]) -> Result<(), Error> {
        let desired = tree::int(set.value(), "spec.replicas").unwrap_or(1);
        let Plan { create, delete } = plan(desired, active, &self.related(set));
        if create > 0 {
            return self.create(set, create).await;
        }
        self.delete(set, delete).await
    }

    async fn create(&self, set: &Obj, count: usize) -> Result<(), Error> {
        let template = tree::get(set.value(), "spec.template").unwrap_or(&Value::Null);
        let pod = &template::pod(template, set, &self.family.resource);
        self.expectations.expect_creations(set.key(), count);
        let (done, error) = slow_start(count, |_| async move {
            let made = self.client.create(&PODS, set.ns(), pod).await?;
            self.recorder.normal(
                set,
                "SuccessfulCreate",
                format!("Created pod: {}", made.name()),
            );
            Ok::<_, k3s_client::Error>(())
        })
        .await;
        // Neither failed nor skipped creations will ever be observed.
        (done..count).for_each(|_| self.expectations.creation_observed(set.key()));
        match error {
            None => Ok(()),
            // A namespace that is being deleted takes no Pods and never will again.
            Some(error) if error.is_namespace_terminating() => Ok(()),
            Some(error) => {
                self.recorder
                    .warning(set, "FailedCreate", format!("Error creating: {error}"));
                Err(error.into())
            }
        }
    }

    async fn delete(&self, set: &Obj, pods: Vec<Object>) -> Result<(), Error> {
        if pods.is_empty() {
            return Ok(());
        }
        self.expectations
            .expect_deletions(set.key(), pods.iter().map(|pod| pod.uid().to_owned()));
        let results =
            futures_util::future::join_all(pods.iter().map(|pod| self.delete_one(set, pod))).await;
        results.into_iter().collect::<Result<(), _>>()
    }

    async fn delete_one(&self, set: &Obj, pod: &Obj) -> Result<(), Error> {
        let params = DeleteParams::default().preconditions(uid_is(pod.uid()));
        match self
            .client
            .delete(&PODS, pod.ns(), pod.name(), &params)
            .await
        {
            Ok(_) => {
                self.recorder.normal(
                    set,
                    "SuccessfulDelete",
                    format!("Deleted pod: {}", pod.name()),
                );
                Ok(())
            }
            Err(error) => {
                self.expectations.deletion_observed(set.key(), pod.uid());
                if error.is_not_found() || error.is_conflict() {
                    return Ok(());
                }
                self.recorder
                    .warning(set, "FailedDelete", format!("Error deleting: {error}"));
                Err(error.into())
            }
        }
    }

    /// The Pods of all sets under the same Deployment, or of this set alone.
    fn related(&self, set: &Obj) -> Vec<Object> {
        let own = || self.pods.by_index(BY_OWNER, set.uid());
        match set.controller() {
            Some(owner) if self.family.resource == REPLICA_SETS => self
                .sets
                .by_index(BY_OWNER, &owner.uid)
                .iter()
                .flat_map(|sibling| self.pods.by_index(BY_OWNER, sibling.uid()))
                .collect(),
            _ => own(),
        }
    }
}
