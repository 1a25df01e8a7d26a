//! The input and output of one process: three pipes, or one terminal.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::log::Stream;
use super::protocol::WindowSize;

/// Input that the process has not read yet; beyond it the sender waits.
pub(super) const STDIN_LIMIT_BYTES: usize = 256 << 10;
/// Output read at once.
const READ_BYTES: usize = 32 << 10;

/// What the process's side gets.
#[derive(Debug, Default)]
pub(super) struct Ends {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

/// Our side.
#[derive(Debug, Default)]
pub(super) struct Stdio {
    stdin: Option<File>,
    stdout: Option<File>,
    stderr: Option<File>,
    tty: bool,
    input: VecDeque<u8>,
    eof_asked: bool,
}

impl Stdio {
    /// Pipes; what is not wanted is `/dev/null` on the process's side.
    pub(super) fn pipes(stdin: bool, stdout: bool, stderr: bool) -> io::Result<(Self, Ends)> {
        let mut stdio = Self::default();
        let null = || {
            File::options()
                .read(true)
                .write(true)
                .open("/dev/null")
                .map(OwnedFd::from)
        };
        let mut ends = Ends {
            stdin: Some(null()?),
            stdout: Some(null()?),
            stderr: Some(null()?),
        };
        if stdin {
            let (read, write) = pipe()?;
            (ends.stdin, stdio.stdin) = (Some(read), Some(nonblocking(write)?));
        }
        if stdout {
            let (read, write) = pipe()?;
            (ends.stdout, stdio.stdout) = (Some(write), Some(nonblocking(read)?));
        }
        if stderr {
            let (read, write) = pipe()?;
            (ends.stderr, stdio.stderr) = (Some(write), Some(nonblocking(read)?));
        }
        Ok((stdio, ends))
    }

    /// The controlling side of a terminal.
    pub(super) fn terminal(master: OwnedFd) -> io::Result<Self> {
        let stdin = Some(nonblocking(master.try_clone()?)?);
        Ok(Self {
            stdin,
            stdout: Some(nonblocking(master)?),
            tty: true,
            ..Self::default()
        })
    }

    /// What to wait for: readable outputs, and the input when something is to be written.
    pub(super) fn readable(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        match stream {
            Stream::Stdout => self.stdout.as_ref().map(AsFd::as_fd),
            Stream::Stderr => self.stderr.as_ref().map(AsFd::as_fd),
        }
    }

    pub(super) fn writable(&self) -> Option<BorrowedFd<'_>> {
        if self.input.is_empty() {
            None
        } else {
            self.stdin.as_ref().map(AsFd::as_fd)
        }
    }

    /// True while more input may be pushed.
    pub(super) fn accepts_input(&self) -> bool {
        self.input.len() < STDIN_LIMIT_BYTES
    }

    /// No output can come any more.
    pub(super) fn drained(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }

    /// Output that is there; empty when there is none now, none at the end.
    pub(super) fn read(&mut self, stream: Stream) -> Option<Vec<u8>> {
        let slot = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let file = slot.as_mut()?;
        let mut chunk = vec![0; READ_BYTES];
        match file.read(&mut chunk) {
            Ok(count) if count > 0 => {
                chunk.truncate(count);
                Some(chunk)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Some(Vec::new())
            }
            // A terminal whose last user is gone answers EIO instead of an end of file.
            Ok(_) | Err(_) => {
                *slot = None;
                None
            }
        }
    }

    /// Queues input; it is dropped when the process has none or closed it.
    pub(super) fn push(&mut self, data: &[u8]) {
        if self.stdin.is_some() && !self.eof_asked {
            self.input.extend(data);
            self.flush();
        }
    }

    /// Closes the input once all of it is written. A terminal has no half-close.
    pub(super) fn push_eof(&mut self) {
        if !self.tty {
            self.eof_asked = true;
            self.flush();
        }
    }

    /// Writes as much as the process's pipe accepts now.
    pub(super) fn flush(&mut self) {
        while let (Some(stdin), false) = (&mut self.stdin, self.input.is_empty()) {
            let (front, _) = self.input.as_slices();
            match stdin.write(front) {
                Ok(count) => drop(self.input.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.stdin = None;
                    self.input.clear();
                }
            }
        }
        if self.eof_asked && self.input.is_empty() {
            self.stdin = None;
        }
    }

    /// Resizes the terminal; pipes have no size.
    pub(super) fn resize(&self, size: WindowSize) {
        if let (true, Some(master)) = (self.tty, &self.stdout) {
            let size = rustix::termios::Winsize {
                ws_row: size.height,
                ws_col: size.width,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            let _ = rustix::termios::tcsetwinsize(master, size);
        }
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}

fn nonblocking(fd: OwnedFd) -> io::Result<File> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    Ok(File::from(fd))
}
