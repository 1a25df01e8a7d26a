//! Links, addresses, routes and neighbours of a network namespace, typed, over rtnetlink.
//!
//! A [`Net`] works on one namespace: the one of the thread that opened it, or one named by a path.
//! It stays there whatever thread uses it later, so pod namespaces are configured without moving
//! threads about. Every call is synchronous and takes tens of microseconds.
//!
//! Nothing here decides how the network should be; callers compare and apply.

pub mod address;
pub mod conntrack;
pub mod link;
pub mod listening;
pub mod neighbour;
pub mod netns;
pub mod node;
pub mod observe;
pub mod qdisc;
pub mod route;
pub mod sysctl;

use std::path::Path;

pub use crate::netlink::NetlinkError;
use crate::netlink::{Protocol, Socket};
pub use address::Address;
pub use link::{Link, LinkChange, LinkKind, Mac, NewLink, Vxlan};
pub use listening::tcp_listeners;
pub use neighbour::{Neighbour, NeighbourTable};
pub use node::{DefaultRoute, ensure_forwarding};
pub use observe::{Change, Observer};
pub use route::{Route, RouteScope};

/// An operation on the network that failed.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The kernel refused, or the socket failed.
    #[error("{what}")]
    Kernel {
        /// The operation, as a command of `ip`.
        what: String,
        /// The answer.
        #[source]
        source: NetlinkError,
    },
    /// A namespace could not be created, entered or removed.
    #[error("network namespace {path}")]
    Namespace {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A kernel setting could not be read or written.
    #[error("sysctl {key}")]
    Sysctl {
        /// The dotted key.
        key: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The key is not on the list of settings that this product touches.
    #[error("sysctl {0} is not one that may be set")]
    SysctlDenied(String),
    /// A link by that name does not exist.
    #[error("no link named {0:?}")]
    NoLink(String),
    /// A link name that the kernel would not accept.
    #[error("{0:?} is not a link name: 1 to 15 characters without '/' or white space")]
    BadLinkName(String),
    /// The node has no default route, so that its own address is unknown.
    #[error("no IPv4 default route; set the node's address and interface explicitly")]
    NoDefaultRoute,
}

impl NetError {
    /// The thing exists already.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        matches!(self, Self::Kernel { source, .. } if source.is_exists())
    }

    /// The thing does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Kernel { source, .. } => source.is_missing(),
            Self::Namespace { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            Self::NoLink(_) => true,
            _ => false,
        }
    }
}

/// One network namespace.
#[derive(Debug)]
pub struct Net {
    socket: Socket,
    /// Where the namespace's file is; None for one that was not opened by path.
    path: Option<std::path::PathBuf>,
}

impl Net {
    /// The calling thread's namespace.
    pub fn current() -> Result<Self, NetError> {
        let socket =
            Socket::open(Protocol::Route).map_err(|source| refused("open rtnetlink", source))?;
        Ok(Self { socket, path: None })
    }

    /// The namespace whose file is at `path`.
    pub fn of_namespace(path: &Path) -> Result<Self, NetError> {
        let net = netns::run_in(path, Self::current)??;
        Ok(Self {
            path: Some(path.to_owned()),
            ..net
        })
    }

    /// The namespace itself, for moving links into it; of one that was not opened by path, the calling
    /// thread's.
    pub fn namespace(&self) -> Result<std::fs::File, NetError> {
        let path = self
            .path
            .clone()
            .unwrap_or_else(|| "/proc/thread-self/ns/net".into());
        std::fs::File::open(&path).map_err(|source| NetError::Namespace {
            path: path.display().to_string(),
            source,
        })
    }
}

/// Adds the operation to the kernel's refusal.
fn refused(what: impl Into<String>, source: NetlinkError) -> NetError {
    NetError::Kernel {
        what: what.into(),
        source,
    }
}

/// Success if the thing exists already.
fn unless_exists(result: Result<(), NetError>) -> Result<(), NetError> {
    match result {
        Err(e) if e.is_exists() => Ok(()),
        other => other,
    }
}

/// True if it was removed, false if there was nothing to remove.
fn unless_missing(result: Result<(), NetError>) -> Result<bool, NetError> {
    match result {
        Err(e) if e.is_missing() => Ok(false),
        other => other.map(|()| true),
    }
}
