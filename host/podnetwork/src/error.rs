//! Why a plan was not made true, an address not leased, or the plugin not brought up to date.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use k3s_sys::net::NetError;
use k3s_sys::nft::NftError;

/// Why a plan was not made true.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The operator does not grant it.
    #[error("not granted: {0}")]
    Denied(String),
    /// The plan cannot be read.
    #[error("{0}")]
    Invalid(String),
    /// Something of that name exists and belongs to another owner.
    #[error("{0}")]
    Conflict(String),
    /// The kernel refused.
    #[error("cannot {what}")]
    Net {
        /// The operation.
        what: String,
        /// The kernel's answer.
        #[source]
        source: NetError,
    },
    /// The packet filter refused.
    #[error(transparent)]
    Nft(#[from] NftError),
}

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum IpamError {
    /// Every address is taken.
    #[error("no address is free in {0}")]
    Exhausted(Ipv4Net),
    /// A name or range that cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// The disk failed.
    #[error("cannot read or write {}", path.display())]
    Disk {
        /// The lease or its folder.
        path: PathBuf,
        /// The disk's answer.
        #[source]
        source: io::Error,
    },
}

/// Why the plugin's view of the cluster's nodes had no effect on this node.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The node has no pod CIDR yet, or is not registered.
    #[error("{0}")]
    NotReady(String),
    /// The plugin answered that it cannot set the node up.
    #[error("{0}")]
    Failed(String),
    /// The plugin gave no answer.
    #[error("the pod network plugin gave no answer")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The plugin's settings cannot be written where other software reads them.
    #[error("cannot write {}", path.display())]
    SubnetEnv {
        /// The file.
        path: PathBuf,
        /// The disk's answer.
        #[source]
        source: io::Error,
    },
    /// The node's object cannot be annotated.
    #[error("cannot annotate node {node}")]
    Annotate {
        /// The node's name.
        node: String,
        /// The API's answer.
        #[source]
        source: k3s_client::Error,
    },
}
