//! One client of a shim: octets in and out, and what the connection is for.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::protocol::{Kind, ProtocolError, decode_frame};

/// Output waiting for a slow client; beyond it the process waits.
pub(super) const OUTBOX_SOFT_LIMIT_BYTES: usize = 256 << 10;
/// A client that reads nothing for this long while the process waits for it is disconnected.
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(10);

/// What a connection is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// No request yet.
    New,
    /// Gets each change of state.
    Subscriber,
    /// The session of this number.
    Exec(u64),
    /// The container's output; its input too when `stdin`.
    Attach { id: String, stdin: bool },
    /// Answered; closes when the outbox is empty.
    Closing,
}

#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    inbox: Vec<u8>,
    outbox: VecDeque<u8>,
    pub(super) role: Role,
    /// When (on the monotonic clock) the outbox went over the soft limit.
    stalled_since: Option<Duration>,
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            inbox: Vec::new(),
            outbox: VecDeque::new(),
            role: Role::New,
            stalled_since: None,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(super) fn wants_write(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// True while its process must wait for it.
    pub(super) fn congested(&self) -> bool {
        self.outbox.len() > OUTBOX_SOFT_LIMIT_BYTES
    }

    pub(super) fn stalled(&self, now: Duration) -> bool {
        self.stalled_since
            .is_some_and(|since| now.saturating_sub(since) > STALL_LIMIT)
    }

    pub(super) fn finished(&self) -> bool {
        self.role == Role::Closing && self.outbox.is_empty()
    }

    pub(super) fn send(&mut self, frame: &[u8], now: Duration) {
        self.outbox.extend(frame);
        if self.congested() && self.stalled_since.is_none() {
            self.stalled_since = Some(now);
        }
    }

    /// Writes as much as the client's socket accepts now.
    pub(super) fn flush(&mut self, now: Duration) -> io::Result<()> {
        while !self.outbox.is_empty() {
            let (front, _) = self.outbox.as_slices();
            match self.stream.write(front) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.outbox.drain(..count);
                    self.stalled_since = self.congested().then_some(now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.outbox.shrink_to(0);
        Ok(())
    }

    /// Reads what the client sent; false when it is gone.
    pub(super) fn fill(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 16 << 10];
        match self.stream.read(&mut chunk) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.inbox
                    .extend_from_slice(chunk.get(..count).unwrap_or_default());
                Ok(true)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<(Kind, Vec<u8>)>, ProtocolError> {
        let frame = decode_frame(&mut self.inbox);
        if self.inbox.is_empty() {
            self.inbox.shrink_to(0);
        }
        frame
    }
}
