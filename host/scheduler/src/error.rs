//! Why volumes keep a pod from being scheduled. The texts are upstream's
//! (`pkg/scheduler/framework/plugins/volumebinding`), since users see them in conditions and events.

/// A claim does not allow the pod to run on any node yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The claim of an ephemeral volume is created by a controller, which has not done so yet.
    #[error(
        "waiting for ephemeral volume controller to create the persistentvolumeclaim \"{claim}\""
    )]
    NotCreated {
        /// Name of the claim.
        claim: String,
    },
    /// There is no such claim.
    #[error("persistentvolumeclaim \"{claim}\" not found")]
    NotFound {
        /// Name of the claim.
        claim: String,
    },
    /// The claim is being deleted.
    #[error("persistentvolumeclaim \"{claim}\" is being deleted")]
    Deleting {
        /// Name of the claim.
        claim: String,
    },
    /// The claim of an ephemeral volume belongs to another owner.
    #[error(transparent)]
    NotOwner(#[from] k3s_volume::NotOwner),
    /// The volume of the claim was deleted.
    #[error(
        "persistentvolumeclaim \"{claim}\" bound to non-existent persistentvolume \"{volume}\""
    )]
    Lost {
        /// Name of the claim.
        claim: String,
        /// Name of the volume.
        volume: String,
    },
    /// The binder has yet to bind the claim, whatever node the pod runs on.
    #[error("pod has unbound immediate PersistentVolumeClaims")]
    Unbound,
}

/// Claims were not bound after a node was chosen; the pod is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    /// The choice was not written.
    #[error("binding volumes")]
    Write(#[from] k3s_client::Error),
    /// No provisioner or binder finished in time.
    #[error("binding volumes: context deadline exceeded")]
    Timeout,
    /// The claim was deleted or replaced.
    #[error("binding volumes: pvc \"{claim}\" is gone or being deleted")]
    ClaimDeleted {
        /// Its `namespace/name`.
        claim: String,
    },
    /// The provisioner cannot serve the chosen node.
    #[error("binding volumes: selectedNode annotation reset for PVC \"{claim}\"")]
    NodeRejected {
        /// Name of the claim.
        claim: String,
    },
}
