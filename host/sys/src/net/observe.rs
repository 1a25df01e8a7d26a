//! Notifications of changed links, IPv4 addresses and IPv4 routes, so that nothing has to poll.

use std::os::fd::AsRawFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::link::parse_change;
use super::{NetError, refused};
use crate::netlink::{NetlinkError, Protocol, Socket};

const RTMGRP_LINK: u32 = 0x1;
const RTMGRP_IPV4_IFADDR: u32 = 0x10;
const RTMGRP_IPV4_ROUTE: u32 = 0x40;

/// Something changed in the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A link appeared or changed.
    Link(String),
    /// A link went away.
    LinkGone(String),
    /// An address or a route changed.
    Addressing,
    /// The kernel dropped notifications because they were not read in time: read everything again.
    Lost,
}

/// Receives changes of the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Observer {
    socket: AsyncFd<Socket>,
}

impl Observer {
    /// Subscribes. Must be called inside a tokio runtime.
    pub fn open() -> Result<Self, NetError> {
        let groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE;
        let open = || {
            let socket = Socket::open_with_groups(Protocol::Route, groups)?;
            register(socket)
        };
        Ok(Self {
            socket: open().map_err(|e| refused("listen to rtnetlink", e))?,
        })
    }

    /// Waits for the next changes. Cancel safe: what was not returned is returned next time.
    pub async fn changed(&mut self) -> Result<Vec<Change>, NetError> {
        loop {
            let mut ready = self
                .socket
                .readable()
                .await
                .map_err(|e| refused("listen to rtnetlink", NetlinkError::Socket(e)))?;
            let mut changes = Vec::new();
            let result = self.socket.get_ref().poll_multicast(|kind, payload| {
                changes.push(match parse_change(kind, payload) {
                    Some((name, true)) => Change::Link(name),
                    Some((name, false)) => Change::LinkGone(name),
                    None => Change::Addressing,
                });
            });
            match result {
                Ok(true) => {}
                Ok(false) => ready.clear_ready(),
                Err(NetlinkError::Socket(e)) if e.raw_os_error() == Some(libc::ENOBUFS) => {
                    changes.push(Change::Lost)
                }
                Err(e) => return Err(refused("listen to rtnetlink", e)),
            }
            if !changes.is_empty() {
                return Ok(changes);
            }
        }
    }
}

#[allow(unsafe_code)]
fn register(socket: Socket) -> Result<AsyncFd<Socket>, NetlinkError> {
    // SAFETY: the socket owns its descriptor and returns the same one as long as it lives; the
    // registration owns the socket.
    unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }
        .map_err(|e| NetlinkError::Socket(e.into()))
}

impl AsRawFd for Observer {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }
}
