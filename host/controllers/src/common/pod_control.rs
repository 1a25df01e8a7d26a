//! Creating and deleting the Pods of a controller object, with the events and expectations that go
//! with it (`pkg/controller/controller_utils.go`, `RealPodControl`).

use futures_util::future::join_all;
use k3s_client::resources::PODS;
use k3s_client::{Client, DeleteParams, EventRecorder, Expectations, Obj, Object, uid_is};
use k3s_reconcile::Error;
use serde_json::Value;

use super::batch::slow_start;

/// How one controller object changes its Pods.
pub(crate) struct PodControl<'a> {
    pub(crate) client: &'a Client,
    pub(crate) recorder: &'a EventRecorder,
    pub(crate) expectations: &'a Expectations,
    /// The object that owns the Pods.
    pub(crate) owner: &'a Obj,
}

impl PodControl<'_> {
    /// Deletes, then creates. Until the informer has shown all of it, the owner's expectations are
    /// not satisfied; what fails is taken back, since it will never be observed.
    pub(crate) async fn carry_out(
        &self,
        creations: impl ExactSizeIterator<Item = Value>,
        deletions: &[Object],
    ) -> Result<(), Error> {
        let wanted = creations.len();
        if wanted == 0 && deletions.is_empty() {
            return Ok(());
        }
        let key = self.owner.key();
        let uids = deletions.iter().map(|pod| pod.uid().to_owned());
        self.expectations.expect(key, wanted, uids);
        let deletions = deletions.iter().map(|pod| self.delete(pod));
        let deleted = join_all(deletions).await;
        let creations = creations.map(|body| self.create(body));
        let (created, failure) = slow_start(creations).await;
        for _ in created..wanted {
            self.expectations.creation_observed(key);
        }
        // A namespace that is being deleted takes no Pods and never will again.
        let failure = failure.filter(|error| !error.is_namespace_terminating());
        if let Some(error) = failure {
            let message = format!("Error creating: {error}");
            self.recorder.warning(self.owner, "FailedCreate", message);
            return Err(error.into());
        }
        deleted.into_iter().collect()
    }

    async fn create(&self, body: Value) -> k3s_client::Result<()> {
        let made = self.client.create(&PODS, self.owner.ns(), &body).await?;
        let message = format!("Created pod: {}", made.name());
        self.recorder
            .normal(self.owner, "SuccessfulCreate", message);
        Ok(())
    }

    /// Deletes this very Pod; one that is gone, or was replaced, is no failure.
    async fn delete(&self, pod: &Obj) -> Result<(), Error> {
        let same_pod = uid_is(pod.uid());
        let params = DeleteParams::default().preconditions(same_pod);
        let deleted = self
            .client
            .delete(&PODS, pod.ns(), pod.name(), &params)
            .await;
        let Err(error) = deleted else {
            let message = format!("Deleted pod: {}", pod.name());
            self.recorder
                .normal(self.owner, "SuccessfulDelete", message);
            return Ok(());
        };
        let key = self.owner.key();
        self.expectations.deletion_observed(key, pod.uid());
        if error.is_not_found() || error.is_conflict() {
            return Ok(());
        }
        let message = format!("Error deleting: {error}");
        self.recorder.warning(self.owner, "FailedDelete", message);
        Err(error.into())
    }
}
