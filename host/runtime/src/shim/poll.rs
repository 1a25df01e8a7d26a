//! The poll set of a shim's loop: descriptors, each with its role.

use std::io;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::log::Stream;
use super::stdio::Stdio;

/// The role of a descriptor in the poll set.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Listener,
    Child,
    Client(u64),
    ContainerOut(String, Stream),
    ContainerIn(String),
    SessionOut(u64, Stream),
    SessionIn(u64),
}

/// Descriptors to wait for. A descriptor without events is in the set too: the kernel reports
/// hang-ups and errors in any case.
#[derive(Default)]
pub(super) struct PollSet<'a> {
    sources: Vec<Source>,
    fds: Vec<PollFd<'a>>,
}

impl<'a> PollSet<'a> {
    pub(super) fn add(&mut self, source: Source, fd: BorrowedFd<'a>, events: PollFlags) {
        self.sources.push(source);
        self.fds.push(PollFd::new(fd, events));
    }

    /// Adds the descriptors of a process: its outputs unless a reader of them is `congested`, and its
    /// input while something waits to be written to it.
    pub(super) fn add_stdio(
        &mut self,
        stdio: &'a Stdio,
        congested: bool,
        output: impl Fn(Stream) -> Source,
        input: impl Fn() -> Source,
    ) {
        if !congested {
            for stream in [Stream::Stdout, Stream::Stderr] {
                if let Some(fd) = stdio.readable(stream) {
                    self.add(output(stream), fd, PollFlags::POLLIN);
                }
            }
        }
        if let Some(fd) = stdio.writable() {
            self.add(input(), fd, PollFlags::POLLOUT);
        }
    }

    /// Waits until a descriptor is ready, the time is over or a signal came. Returns what is ready.
    pub(super) fn wait(mut self, timeout: PollTimeout) -> io::Result<Vec<(Source, PollFlags)>> {
        match poll(&mut self.fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready = self
            .fds
            .iter()
            .map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        Ok(self
            .sources
            .into_iter()
            .zip(ready)
            .filter(|(_, events)| !events.is_empty())
            .collect())
    }
}
