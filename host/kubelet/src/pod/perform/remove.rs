//! Removing what a pod leaves on the node.

use k8s_openapi::api::core::v1::Pod;

use super::Performer;
use crate::logs;
use crate::model::{self, Observed};
use crate::pod::error::SyncError;

impl Performer {
    /// Gives back what an ended pod holds besides its containers and logs.
    pub(crate) async fn release(&self, uid: &str) -> Result<(), SyncError> {
        self.images.forget_pod(uid);
        self.volumes
            .tear_down(uid)
            .await
            .map_err(SyncError::RemoveVolumes)?;
        self.cgroups
            .remove_pod(uid)
            .map_err(SyncError::RemoveCgroup)
    }

    /// Removes everything of the pod from the node.
    pub(crate) async fn remove(&self, pod: &Pod, observed: &Observed) -> Result<(), SyncError> {
        let uid = model::uid(pod);
        self.remove_containers(pod, observed).await?;
        self.remove_sandboxes(observed).await?;
        self.release(uid).await?;
        self.volumes
            .remove_pod_dir(uid)
            .await
            .map_err(SyncError::RemoveDirectory)?;
        logs::remove_pod_dir(&self.config, pod);
        Ok(())
    }

    async fn remove_containers(&self, pod: &Pod, observed: &Observed) -> Result<(), SyncError> {
        for record in &observed.containers {
            let removed = self.cri.remove_container(&record.id).await;
            removed.map_err(|source| SyncError::RemoveContainer {
                id: record.id.clone(),
                source,
            })?;
            logs::remove_container_log(&self.config, pod, record);
        }
        Ok(())
    }

    async fn remove_sandboxes(&self, observed: &Observed) -> Result<(), SyncError> {
        for sandbox in &observed.sandboxes {
            // Stopping is repeated: it also takes down the network, which may have failed before.
            self.stop_sandbox(&sandbox.id).await?;
            let removed = self.cri.remove_sandbox(&sandbox.id).await;
            removed.map_err(|source| SyncError::RemoveSandbox {
                id: sandbox.id.clone(),
                source,
            })?;
        }
        Ok(())
    }
}
