//! Directories that cannot be left: created, removed and measured below a root for callers that may name
//! any path and whose content may be hostile.
//!
//! Every step starts from a descriptor of the step before and is resolved by the kernel with
//! `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`, so neither `..` nor a link that is swapped in between
//! leads elsewhere. Removal also refuses to cross into another mount.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;

use crate::volume::{FsUsage, usage};

/// Directories that removal descends at once, each of which holds a descriptor; deeper ones are
/// moved up first, so that no tree is too deep.
const MAX_DEPTH: usize = 64;
/// ... and where the file system does not move directories, as overlayfs does not move those of
/// lower layers. Images are not deeper.
const MAX_DEPTH_UNMOVABLE: usize = 600;
const MODE_OF_PARENTS: u32 = 0o755;

/// User and group of a new directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub user: u32,
    /// Group id.
    pub group: u32,
}

/// A directory that paths are relative to and never leave.
#[derive(Clone, Debug)]
pub struct ConfinedRoot {
    path: PathBuf,
}

impl ConfinedRoot {
    /// Confines to `path`, which is the operator's and may itself be reached over links.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The root's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::open(&self.path, flags, Mode::empty())?)
    }

    /// Makes `relative` and what is missing above it; true when it is new. An existing directory
    /// stays as it is.
    ///
    /// # Errors
    /// `ELOOP` or `EXDEV` when something on the way leads out, `ENOTDIR` when it is not a directory.
    pub fn make(&self, relative: &Path, mode: u32, owner: Option<Owner>) -> io::Result<bool> {
        let names = names(relative)?;
        let mut here = self.open()?;
        let mut made = false;
        for (at, name) in names.iter().enumerate() {
            let last = at + 1 == names.len();
            let mode = if last { mode } else { MODE_OF_PARENTS };
            made = match rustix::fs::mkdirat(&here, *name, Mode::from_raw_mode(mode)) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(error) => return Err(error.into()),
            };
            here = descend(here.as_fd(), *name, OFlags::PATH, ResolveFlags::empty())?;
            if made {
                // mkdir applies the umask; the caller means the mode as given.
                settle(&here, mode, owner.filter(|_| last))?;
            }
        }
        Ok(made)
    }

    /// Removes `relative` with all below it; true when there was something. Links are removed, not
    /// followed.
    ///
    /// # Errors
    /// As [`ConfinedRoot::make`], and `EXDEV` when something is mounted inside; a part may be gone.
    pub fn remove(&self, relative: &Path) -> io::Result<bool> {
        let names = names(relative)?;
        let Some((name, parents)) = names.split_last() else {
            return Ok(false);
        };
        let walked = parents.iter().try_fold(self.open()?, |here, name| {
            descend(here.as_fd(), *name, OFlags::PATH, ResolveFlags::empty())
        });
        let parent = match walked {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            walked => walked?,
        };
        remove_entry(parent.as_fd(), name)
    }

    /// Usage of the file system that holds `relative`, or the nearest directory above that exists.
    ///
    /// # Errors
    /// As [`ConfinedRoot::make`].
    pub fn usage(&self, relative: &Path) -> io::Result<FsUsage> {
        let mut here = self.open()?;
        for name in names(relative)? {
            match descend(here.as_fd(), name, OFlags::PATH, ResolveFlags::empty()) {
                Ok(next) => here = next,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
        usage(Path::new(&format!("/proc/self/fd/{}", here.as_raw_fd())))
    }
}

/// Whether an operation was refused because the path leads out of the root: over a link, `..` or a mount.
#[must_use]
pub fn leads_out(error: &io::Error) -> bool {
    [Errno::XDEV, Errno::LOOP]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// The components of a path that names something below the root.
fn names(relative: &Path) -> io::Result<Vec<&std::ffi::OsStr>> {
    let outside = || io::Error::from_raw_os_error(Errno::XDEV.raw_os_error());
    let names: Vec<_> = relative
        .components()
        .map(|component| match component {
            Component::Normal(name) => Ok(name),
            _ => Err(outside()),
        })
        .collect::<io::Result<_>>()?;
    if names.is_empty() {
        Err(outside())
    } else {
        Ok(names)
    }
}

fn descend(
    dir: BorrowedFd<'_>,
    name: impl rustix::path::Arg,
    flags: OFlags,
    more: ResolveFlags,
) -> io::Result<OwnedFd> {
    // Not NOFOLLOW: a link is to be refused as a link, not as something that is not a directory.
    let flags = flags | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let how =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | more;
    Ok(rustix::fs::openat2(dir, name, flags, Mode::empty(), how)?)
}

/// Sets mode and owner of an opened directory.
fn settle(dir: &OwnedFd, mode: u32, owner: Option<Owner>) -> io::Result<()> {
    let link = format!("/proc/self/fd/{}", dir.as_raw_fd());
    if let Some(Owner { user, group }) = owner {
        rustix::fs::chown(
            link.as_str(),
            Some(Uid::from_raw(user)),
            Some(Gid::from_raw(group)),
        )?;
    }
    Ok(rustix::fs::chmod(
        link.as_str(),
        Mode::from_raw_mode(mode & 0o7777),
    )?)
}

/// Removes an entry with all below it; true when there was something.
pub(crate) fn remove_entry(parent: BorrowedFd<'_>, name: &std::ffi::OsStr) -> io::Result<bool> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) => return Ok(true),
        Err(Errno::NOENT) => return Ok(false),
        // Linux says so for directories.
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(error.into()),
    }
    let top = descend(parent, name, OFlags::RDONLY, ResolveFlags::NO_XDEV)?;
    let mut moved = 0;
    loop {
        let before = moved;
        empty(&top, top.as_fd(), 0, &mut moved)?;
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(true),
            // Deep directories were moved up here and are emptied by the next round. Without any,
            // another process writes during the removal, which the caller may repeat.
            Err(Errno::NOTEMPTY) if moved > before => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Removes everything in `dir`, which is `depth` levels below `top`.
fn empty(dir: &OwnedFd, top: BorrowedFd<'_>, depth: usize, moved: &mut u64) -> io::Result<()> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => continue,
            Err(Errno::ISDIR) => {}
            Err(error) => return Err(error.into()),
        }
        if depth < MAX_DEPTH {
            remove_child(dir, name, top, depth, moved)?;
            continue;
        }
        match move_up(dir, name, top, moved) {
            Err(error) if leads_out(&error) && depth < MAX_DEPTH_UNMOVABLE => {
                remove_child(dir, name, top, depth, moved)?;
            }
            other => other?,
        }
    }
    Ok(())
}

fn remove_child(
    dir: &OwnedFd,
    name: &CStr,
    top: BorrowedFd<'_>,
    depth: usize,
    moved: &mut u64,
) -> io::Result<()> {
    let child = descend(dir.as_fd(), name, OFlags::RDONLY, ResolveFlags::NO_XDEV)?;
    empty(&child, top, depth + 1, moved)?;
    drop(child);
    match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Moves a deep directory to the top, under a name that is free.
fn move_up(dir: &OwnedFd, name: &CStr, top: BorrowedFd<'_>, moved: &mut u64) -> io::Result<()> {
    loop {
        *moved += 1;
        let new = CString::new(format!(".removing-{moved}"))?;
        match rustix::fs::renameat_with(
            dir,
            name,
            top,
            new.as_c_str(),
            rustix::fs::RenameFlags::NOREPLACE,
        ) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
#[path = "confined_tests.rs"]
mod tests;
