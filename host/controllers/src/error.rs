//! Why a reconciliation did not finish although no request failed. The driver logs it and tries
//! again with back-off; events usually make the next try succeed.

use std::sync::Arc;

use ipnet::IpNet;
use k3s_base::error::Sentence;

/// A reconciliation that has to wait for the cluster to change.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControllerError {
    /// Validation lets no such selector pass, so the object was stored by another server.
    #[error("the selector of {object} is invalid")]
    Selector {
        /// `namespace/name`.
        object: Arc<str>,
        /// What is wrong with it.
        #[source]
        why: Sentence,
    },
    /// Another object has the owner's name, so it must not adopt.
    #[error("{0} was deleted and created again")]
    OwnerReplaced(Arc<str>),
    /// An owner that is being deleted must not adopt.
    #[error("{0} is being deleted")]
    OwnerDeleting(Arc<str>),
    /// A pod's claim has to go before a new one can take its name.
    #[error("claim {0} is being deleted")]
    ClaimDeleting(String),
    /// This controller created the set a moment ago.
    #[error("the cache does not show replica set {0} yet")]
    CacheBehind(String),
    /// The deletion needs the resource version that the unblocking patch made.
    #[error("a cycle of owners was unblocked")]
    CycleUnblocked,
    /// All parts of a cluster network are assigned to nodes.
    #[error("no /{prefix_len} is free in {network}")]
    NetworkFull {
        /// The cluster network.
        network: IpNet,
        /// The size of a node's part.
        prefix_len: u8,
    },
}

impl From<ControllerError> for k3s_reconcile::Error {
    fn from(error: ControllerError) -> Self {
        Self::other(error)
    }
}
