//! What happens in the cluster that may let a waiting pod fit (upstream's `framework.ClusterEvent`).

use std::sync::Arc;

use crate::model::PodInfo;

/// One happening. Each filter says which of them may help a pod that it refused
/// ([`crate::framework::Filter::may_help`]).
#[derive(Clone, Debug)]
pub enum Event {
    /// A node is there that was not.
    NodeAdded,
    /// A node is not there any more: its topology domain does not count any more either.
    NodeRemoved,
    /// A node differs in what filters ask about.
    NodeChanged(NodeChange),
    /// A pod has come to a node.
    PodCame(Arc<PodInfo>),
    /// A pod on a node differs in what filters ask about other pods.
    PodChanged {
        /// The pod before.
        old: Arc<PodInfo>,
        /// The pod now.
        new: Arc<PodInfo>,
    },
    /// A pod has ended, was deleted, or was not bound to the node that it was meant for.
    PodLeft(Arc<PodInfo>),
    /// A claim, a volume or a storage class differs.
    StorageChanged,
    /// A namespace came, or its labels differ.
    NamespaceChanged,
}

/// What of a node differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeChange {
    /// Its labels.
    pub labels: bool,
    /// Its taints, or whether it is cordoned.
    pub taints: bool,
    /// What it can give to pods.
    pub allocatable: bool,
}

impl NodeChange {
    /// Whether anything differs.
    #[must_use]
    pub(crate) fn is_any(self) -> bool {
        self.labels || self.taints || self.allocatable
    }
}

impl Event {
    /// Whether a node came, or its labels differ.
    #[must_use]
    pub(crate) fn is_of_labels(&self) -> bool {
        match self {
            Self::NodeAdded => true,
            Self::NodeChanged(change) => change.labels,
            _ => false,
        }
    }

    /// Whether a node came, or its taints differ.
    #[must_use]
    pub(crate) fn is_of_taints(&self) -> bool {
        match self {
            Self::NodeAdded => true,
            Self::NodeChanged(change) => change.taints,
            _ => false,
        }
    }

    /// The forms of an assigned pod that the event is about: what it was, what it is.
    pub(crate) fn pods(&self) -> impl Iterator<Item = &Arc<PodInfo>> {
        let (old, new) = match self {
            Self::PodCame(pod) | Self::PodLeft(pod) => (None, Some(pod)),
            Self::PodChanged { old, new } => (Some(old), Some(new)),
            _ => (None, None),
        };
        old.into_iter().chain(new)
    }
}
