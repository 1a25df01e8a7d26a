//! Netlink framing shared by rtnetlink, nf_tables and conntrack.
//!
//! One codec serves all three families, because they differ in attributes only. It is synchronous:
//! the kernel answers while the request is being sent, so a request costs microseconds and needs no
//! task, no connection actor and no queue. Callers on an async thread send larger batches from a
//! blocking thread.

pub(crate) mod socket;
pub(crate) mod wire;

pub(crate) use socket::{Protocol, Socket};
pub(crate) use wire::{Attributes, Builder};

use std::io;

/// A request that the kernel did not carry out.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The request was refused.
    #[error("{}", detail.as_deref().unwrap_or("the kernel refused"))]
    Refused {
        /// The error number.
        source: io::Error,
        /// The kernel's own explanation (the text of the extended acknowledgement), where it gave one.
        detail: Option<String>,
    },
    /// The socket failed.
    #[error("netlink socket")]
    Socket(#[source] io::Error),
    /// The answer could not be read.
    #[error("malformed netlink answer: {0}")]
    Malformed(&'static str),
    /// The table kept changing while it was read.
    #[error("the kernel's table changed during every one of {0} reads")]
    Unstable(u32),
}

impl NetlinkError {
    /// The error number, where the kernel refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// The thing exists already.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        self.errno() == Some(libc::EEXIST)
    }

    /// The thing does not exist: each family has its own number for it.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(
            self.errno(),
            Some(libc::ENOENT | libc::ENODEV | libc::ESRCH | libc::EADDRNOTAVAIL | libc::ENXIO)
        )
    }
}
