//! A netlink socket: request with acknowledgement, dump, batch, and multicast.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::NetlinkError;
use super::wire::{
    Attributes, Builder, HEADER_LEN, Header, Messages, NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_CAPPED,
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, array, string,
};

/// The kernel never builds a dump datagram larger than 32 KiB; twice that leaves room.
const RECEIVE_LEN: usize = 64 << 10;
/// Requests are answered while they are sent, so this only guards against a kernel bug.
const ANSWER_TIMEOUT_SECS: i64 = 10;
/// A table that changes during this many reads in a row is reported instead of retried forever.
const DUMP_TRIES: u32 = 16;
/// Room for the errors of a large batch: each queued error costs the kernel about 1 KiB.
const RECEIVE_BUFFER: usize = 4 << 20;

/// The kernel subsystem that a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Route,
    Netfilter,
}

/// One socket, bound to the network namespace of the thread that opened it, forever.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: AtomicU32,
    /// One conversation at a time; holds the receive buffer.
    turn: Mutex<Vec<u8>>,
}

/// The answer to one message of a batch.
#[derive(Debug)]
pub(crate) struct BatchError {
    pub(crate) sequence: u32,
    pub(crate) error: NetlinkError,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace.
    pub(crate) fn open(protocol: Protocol) -> Result<Self, NetlinkError> {
        Self::open_with_groups(protocol, 0)
    }

    /// Opens a socket that also receives the multicast groups in the mask.
    pub(crate) fn open_with_groups(protocol: Protocol, groups: u32) -> Result<Self, NetlinkError> {
        let family = match protocol {
            Protocol::Route => SockProtocol::NetlinkRoute,
            Protocol::Netfilter => SockProtocol::NetlinkNetFilter,
        };
        let open = || -> nix::Result<OwnedFd> {
            let fd = nix::sys::socket::socket(
                AddressFamily::Netlink,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                family,
            )?;
            nix::sys::socket::bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
            nix::sys::socket::setsockopt(
                &fd,
                sockopt::ReceiveTimeout,
                &TimeVal::seconds(ANSWER_TIMEOUT_SECS),
            )?;
            Ok(fd)
        };
        let fd = open().map_err(|e| NetlinkError::Socket(e.into()))?;
        set_flag(fd.as_fd(), libc::NETLINK_EXT_ACK).map_err(NetlinkError::Socket)?;
        set_flag(fd.as_fd(), libc::NETLINK_CAP_ACK).map_err(NetlinkError::Socket)?;
        Ok(Self {
            fd,
            sequence: AtomicU32::new(1),
            turn: Mutex::new(vec![0; RECEIVE_LEN]),
        })
    }

    pub(crate) fn next_sequence(&self) -> u32 {
        self.sequence.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends one request and waits for its acknowledgement.
    pub(crate) fn request(
        &self,
        kind: u16,
        flags: u16,
        body: impl FnOnce(&mut Builder),
    ) -> Result<(), NetlinkError> {
        self.converse(kind, NLM_F_REQUEST | NLM_F_ACK | flags, body, |_, _| {})
            .map(drop)
    }

    /// Sends one request, calls `each` for every answer, and returns at its acknowledgement.
    pub(crate) fn query(
        &self,
        kind: u16,
        body: impl FnOnce(&mut Builder),
        each: impl FnMut(u16, &[u8]),
    ) -> Result<(), NetlinkError> {
        self.converse(kind, NLM_F_REQUEST | NLM_F_ACK, body, each)
            .map(drop)
    }

    /// Reads a whole table. Starts over when the kernel says that it changed meanwhile.
    pub(crate) fn dump<T>(
        &self,
        kind: u16,
        body: impl Fn(&mut Builder),
        mut each: impl FnMut(u16, &[u8]) -> Option<T>,
    ) -> Result<Vec<T>, NetlinkError> {
        for _ in 0..DUMP_TRIES {
            let mut rows = Vec::new();
            let flags = NLM_F_REQUEST | NLM_F_DUMP;
            if self.converse(kind, flags, &body, |kind, payload| {
                rows.extend(each(kind, payload))
            })? {
                return Ok(rows);
            }
        }
        Err(NetlinkError::Unstable(DUMP_TRIES))
    }

    /// Sends a whole batch (several messages that one transaction commits) and collects the errors.
    /// `sequences` are the first and last sequence number in use; the last message asks for an
    /// acknowledgement, so silence is an error too.
    pub(crate) fn batch(&self, bytes: &[u8], last: u32) -> Result<Vec<BatchError>, NetlinkError> {
        let mut turn = self.lock();
        self.make_room(bytes.len())?;
        self.send(bytes)?;
        let mut errors = Vec::new();
        let mut acknowledged = false;
        // Everything is queued before sendto returns: stop at the first empty read.
        while let Some(received) = self.receive_once(&mut turn, MsgFlags::MSG_DONTWAIT)? {
            for (header, payload) in Messages(received) {
                match (header.kind, error_of(header, payload)) {
                    (NLMSG_ERROR, Some(error)) => errors.push(BatchError {
                        sequence: header.sequence,
                        error,
                    }),
                    (NLMSG_ERROR, None) if header.sequence == last => acknowledged = true,
                    _ => {}
                }
            }
        }
        if errors.is_empty() && !acknowledged {
            return Err(NetlinkError::Malformed(
                "a batch was neither acknowledged nor refused",
            ));
        }
        Ok(errors)
    }

    /// Receives one multicast datagram; None if nothing is waiting.
    pub(crate) fn poll_multicast(
        &self,
        mut each: impl FnMut(u16, &[u8]),
    ) -> Result<bool, NetlinkError> {
        let mut turn = self.lock();
        let Some(received) = self.receive_once(&mut turn, MsgFlags::MSG_DONTWAIT)? else {
            return Ok(false);
        };
        for (header, payload) in Messages(received) {
            each(header.kind, payload);
        }
        Ok(true)
    }

    /// Request and whole answer, with no other request in between. False when a dump was interrupted.
    fn converse(
        &self,
        kind: u16,
        flags: u16,
        body: impl FnOnce(&mut Builder),
        each: impl FnMut(u16, &[u8]),
    ) -> Result<bool, NetlinkError> {
        let mut turn = self.lock();
        let header = Header {
            kind,
            flags,
            sequence: self.next_sequence(),
        };
        let mut builder = Builder::default();
        builder.message(header, body);
        self.send(builder.as_bytes())?;
        self.receive(&mut turn, header.sequence, each)
    }

    fn send(&self, bytes: &[u8]) -> Result<(), NetlinkError> {
        nix::sys::socket::sendto(
            self.fd.as_raw_fd(),
            bytes,
            &NetlinkAddr::new(0, 0),
            MsgFlags::empty(),
        )
        .map(drop)
        .map_err(|e| NetlinkError::Socket(e.into()))
    }

    /// Reads up to the end of the conversation `sequence`.
    fn receive(
        &self,
        buffer: &mut [u8],
        sequence: u32,
        mut each: impl FnMut(u16, &[u8]),
    ) -> Result<bool, NetlinkError> {
        let mut intact = true;
        loop {
            let Some(received) = self.receive_once(buffer, MsgFlags::empty())? else {
                return Err(NetlinkError::Socket(io::ErrorKind::TimedOut.into()));
            };
            for (header, payload) in
                Messages(received).filter(|(header, _)| header.sequence == sequence)
            {
                intact &= header.flags & NLM_F_DUMP_INTR == 0;
                match header.kind {
                    NLMSG_DONE | NLMSG_ERROR => {
                        return error_of(header, payload).map_or(Ok(intact), Err);
                    }
                    kind => each(kind, payload),
                }
            }
        }
    }

    fn receive_once<'b>(
        &self,
        buffer: &'b mut [u8],
        flags: MsgFlags,
    ) -> Result<Option<&'b [u8]>, NetlinkError> {
        loop {
            return match nix::sys::socket::recv(self.fd.as_raw_fd(), buffer, flags) {
                Ok(length) => Ok(buffer.get(..length)),
                Err(nix::Error::EINTR) => continue,
                Err(nix::Error::EAGAIN) => Ok(None),
                Err(e) => Err(NetlinkError::Socket(e.into())),
            };
        }
    }

    fn make_room(&self, batch_len: usize) -> Result<(), NetlinkError> {
        let set = || -> nix::Result<()> {
            // The kernel doubles the figure for its own bookkeeping, and a skb has overhead.
            nix::sys::socket::setsockopt(
                &self.fd,
                sockopt::SndBufForce,
                &(batch_len + HEADER_LEN).max(212_992),
            )?;
            nix::sys::socket::setsockopt(&self.fd, sockopt::RcvBufForce, &RECEIVE_BUFFER)
        };
        set().map_err(|e| NetlinkError::Socket(e.into()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        // The buffer holds nothing that a panic could have left half-done.
        self.turn
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.fd.as_raw_fd()
    }
}

/// The error in an `NLMSG_ERROR` or `NLMSG_DONE` message; None for success.
fn error_of(header: Header, payload: &[u8]) -> Option<NetlinkError> {
    let code = i32::from_ne_bytes(array(payload, 0)?);
    if code >= 0 {
        return None;
    }
    Some(NetlinkError::Refused {
        source: io::Error::from_raw_os_error(code.saturating_neg()),
        detail: detail_of(header, payload),
    })
}

/// `NLMSGERR_ATTR_MSG` of the extended acknowledgement.
fn detail_of(header: Header, payload: &[u8]) -> Option<String> {
    if header.kind != NLMSG_ERROR || header.flags & NLM_F_ACK_TLVS == 0 {
        return None;
    }
    let echoed = usize::try_from(u32::from_ne_bytes(array(payload, 4)?)).ok()?;
    let skip = if header.flags & NLM_F_CAPPED == 0 {
        echoed.next_multiple_of(4)
    } else {
        HEADER_LEN
    };
    Attributes::after(payload, 4 + skip).find(1).map(string)
}

/// Sets a boolean option of `SOL_NETLINK`.
#[allow(unsafe_code)]
fn set_flag(fd: BorrowedFd<'_>, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the pointer and length describe `on`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            std::ptr::from_ref(&on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
