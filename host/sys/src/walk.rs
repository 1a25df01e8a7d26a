//! Walks trees whose depth, width and names a user chose.
//!
//! Neither the stack nor the descriptor table grows with the depth, every step starts from the
//! descriptor of the step before, and no link is followed.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// Levels that hold a descriptor; those further up are opened again through `..`.
const OPEN_LEVELS: usize = 64;
/// Names of directories that wait in levels without a descriptor. Only trees that are both deeper
/// than [`OPEN_LEVELS`] and wide there need many; beyond this the walk fails.
const WAITING_NAMES_LIMIT_BYTES: usize = 16 << 20;

/// What lies in one of the tree's directories.
pub(crate) struct Entry<'a> {
    /// The directory that holds it.
    pub(crate) dir: BorrowedFd<'a>,
    pub(crate) name: &'a CStr,
    /// Of the entry itself, also where it is a link.
    pub(crate) stat: Stat,
}

impl Entry<'_> {
    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

/// Whether directories on which something is mounted are entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mounts {
    Enter,
    Skip,
}

/// Calls `visit` for everything below the directory `top`, parents before their children. What
/// vanishes meanwhile is left out.
///
/// # Errors
/// `visit`'s, the file system's, and `ESTALE` when a directory was moved away under the walk.
pub(crate) fn walk(
    top: OwnedFd,
    mounts: Mounts,
    visit: &mut dyn FnMut(&Entry<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut walk = Walk {
        levels: vec![Level::new(top)?],
        open_from: 0,
        waiting_bytes: 0,
        mounts,
        visit,
    };
    while walk.step()? {}
    Ok(())
}

struct Walk<'a> {
    /// From the top down; those from `open_from` on hold a descriptor.
    levels: Vec<Level>,
    open_from: usize,
    waiting_bytes: usize,
    mounts: Mounts,
    visit: &'a mut dyn FnMut(&Entry<'_>) -> io::Result<()>,
}

struct Level {
    /// Device and inode: how the directory is recognised when it is opened again.
    identity: (u64, u64),
    handle: Handle,
    /// Directories that were visited but not entered yet.
    waiting: Vec<CString>,
}

enum Handle {
    /// Being read.
    Stream(Dir),
    /// All names were read.
    Listed(OwnedFd),
    /// All names were read, and the descriptor was given up.
    Parked,
}

impl Walk<'_> {
    /// Enters the next directory, or leaves the current one; false at the end.
    fn step(&mut self) -> io::Result<bool> {
        match self.next_directory()? {
            Some(name) => self.enter(&name)?,
            None => self.leave()?,
        }
        Ok(!self.levels.is_empty())
    }

    fn next_directory(&mut self) -> io::Result<Option<CString>> {
        let Some(level) = self.levels.last_mut() else {
            return Ok(None);
        };
        if let Some(name) = level.waiting.pop() {
            self.waiting_bytes -= name.as_bytes().len();
            return Ok(Some(name));
        }
        match &mut level.handle {
            Handle::Stream(stream) => read(stream, self.visit),
            Handle::Listed(_) | Handle::Parked => Ok(None),
        }
    }

    fn enter(&mut self, name: &CStr) -> io::Result<()> {
        let Some(level) = self.levels.last() else {
            return Ok(());
        };
        match open_child(level.fd()?, name, self.mounts) {
            Ok(fd) => self.levels.push(Level::new(fd)?),
            // It vanished, something else has its name now, or it is a mount to be skipped.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
        if self.levels.len() - self.open_from > OPEN_LEVELS {
            self.park()?;
            self.open_from += 1;
        }
        Ok(())
    }

    /// Reads the rest of the topmost open level and gives its descriptor up.
    fn park(&mut self) -> io::Result<()> {
        let Some(level) = self.levels.get_mut(self.open_from) else {
            return Ok(());
        };
        if let Handle::Stream(stream) = &mut level.handle {
            while let Some(name) = read(stream, self.visit)? {
                self.waiting_bytes += name.as_bytes().len();
                if self.waiting_bytes > WAITING_NAMES_LIMIT_BYTES {
                    return Err(io::Error::other("the tree is too deep and too wide"));
                }
                level.waiting.push(name);
            }
        }
        level.handle = Handle::Parked;
        Ok(())
    }

    fn leave(&mut self) -> io::Result<()> {
        let done = self.levels.pop();
        let (Some(done), Some(parent)) = (done, self.levels.last_mut()) else {
            return Ok(());
        };
        if matches!(parent.handle, Handle::Parked) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(done.fd()?, "..", flags, Mode::empty())?;
            if identity(&fd)? != parent.identity {
                return Err(Errno::STALE.into());
            }
            parent.handle = Handle::Listed(fd);
            self.open_from -= 1;
        }
        Ok(())
    }
}

impl Level {
    fn new(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            identity: identity(&fd)?,
            handle: Handle::Stream(Dir::new(fd)?),
            waiting: Vec::new(),
        })
    }

    fn fd(&self) -> io::Result<BorrowedFd<'_>> {
        match &self.handle {
            Handle::Stream(stream) => Ok(stream.fd()?),
            Handle::Listed(fd) => Ok(fd.as_fd()),
            Handle::Parked => Err(Errno::BADF.into()),
        }
    }
}

fn identity(fd: &OwnedFd) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::fstat(fd)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Visits entries up to and including the next directory, whose name it returns; none at the end.
fn read(
    stream: &mut Dir,
    visit: &mut dyn FnMut(&Entry<'_>) -> io::Result<()>,
) -> io::Result<Option<CString>> {
    while let Some(found) = stream.next() {
        let found = found?;
        let name = found.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let dir = stream.fd()?;
        let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(errno.into()),
        };
        let entry = Entry { dir, name, stat };
        visit(&entry)?;
        if entry.kind() == FileType::Directory {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

fn open_child(dir: BorrowedFd<'_>, name: &CStr, mounts: Mounts) -> rustix::io::Result<OwnedFd> {
    let how = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let how = match mounts {
        Mounts::Enter => how,
        Mounts::Skip => how | ResolveFlags::NO_XDEV,
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat2(dir, name, flags, Mode::empty(), how)
}
