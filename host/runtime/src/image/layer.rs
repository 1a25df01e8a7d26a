//! Applies one layer archive to a mounted root file system (OCI image specification, `layer.md`).
//!
//! Archives are hostile: every path is resolved inside the root by the kernel
//! (`RESOLVE_IN_ROOT`), the last component is never followed, and extended attributes that steer
//! overlayfs or a security module are left out.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use tar::{Archive, Entry, EntryType};

use super::content::HashingReader;
use super::error::ImageError;

const WHITEOUT: &[u8] = b".wh.";
const WHITEOUT_OPAQUE: &[u8] = b".wh..wh..opq";
const WHITEOUT_META: &[u8] = b".wh..wh.";
/// Attributes an image may carry.
const XATTRS: [&str; 3] = ["user.", "security.capability", "system.posix_acl_"];
const COPY_BUFFER_BYTES: usize = 128 << 10;

/// Unpacks the layer `file` (plain, gzip or zstd) into `root`; returns the digest of the
/// uncompressed archive.
pub(crate) fn apply(file: File, root: &Path) -> Result<String, ImageError> {
    let reader = HashingReader::new(decompress(file)?);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, flags, Mode::empty()).map_err(io::Error::from)?;
    let mut unpack = Unpack {
        root,
        seen: HashSet::new(),
        directories: Vec::new(),
    };
    let mut archive = Archive::new(reader);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let unpacked = unpack.entry(&mut entry, &path);
        unpacked.map_err(|source| ImageError::Entry { path, source })?;
    }
    unpack.finish()?;
    Ok(archive.into_inner().finish()?)
}

/// Recognises the compression by the first octets, not by the name.
pub(crate) fn decompress(file: File) -> io::Result<Box<dyn Read + Send>> {
    let mut reader = BufReader::with_capacity(COPY_BUFFER_BYTES, file);
    let magic = io::BufRead::fill_buf(&mut reader)?;
    Ok(match magic {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Box::new(zstd::stream::read::Decoder::with_buffer(reader)?)
        }
        _ => Box::new(reader),
    })
}

struct Unpack {
    root: OwnedFd,
    /// Made by this layer: an opaque mark hides only what was below it.
    seen: HashSet<PathBuf>,
    /// Times of directories are set last: making things in them changes them.
    directories: Vec<(PathBuf, Timestamps)>,
}

impl Unpack {
    fn entry<R: Read>(&mut self, entry: &mut Entry<'_, R>, raw: &Path) -> io::Result<()> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let path = clean(raw)?;
        let Some(name) = path.file_name().map(OsStr::to_os_string) else {
            return self.root_metadata(entry);
        };
        let parent_path = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let parent = self.directory(&parent_path)?;
        if let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT) {
            return self.whiteout(
                &parent,
                &parent_path,
                name.as_bytes(),
                OsStr::from_bytes(hidden),
            );
        }
        self.make(entry, &parent, &name, kind, &path)?;
        self.seen.insert(path);
        Ok(())
    }

    fn open(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        rustix::fs::openat2(
            &self.root,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
    }

    /// The directory at `path`, made with its parents when missing.
    fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match self.open(path, flags) {
            Ok(fd) => return Ok(fd),
            Err(rustix::io::Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let parent = self.directory(parent)?;
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(self.open(path, flags)?),
            Err(errno) => Err(errno.into()),
        }
    }

    fn whiteout(
        &self,
        parent: &OwnedFd,
        parent_path: &Path,
        name: &[u8],
        hidden: &OsStr,
    ) -> io::Result<()> {
        if name == WHITEOUT_OPAQUE {
            for child in children(parent)? {
                if !self.seen.contains(&parent_path.join(&child)) {
                    remove(parent, &child)?;
                }
            }
            return Ok(());
        }
        if name.starts_with(WHITEOUT_META) {
            // Bookkeeping of aufs that old images still carry.
            return Ok(());
        }
        if hidden.is_empty() || hidden == "." || hidden == ".." {
            return Err(invalid("whiteout of nothing"));
        }
        remove(parent, hidden)
    }

    fn make<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        parent: &OwnedFd,
        name: &OsString,
        kind: EntryType,
        path: &Path,
    ) -> io::Result<()> {
        let mode = Mode::from_raw_mode(entry.header().mode()? & 0o7777);
        match kind {
            EntryType::Directory => {
                let existing = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
                if !existing
                    .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
                {
                    remove(parent, name)?;
                    rustix::fs::mkdirat(parent, name, mode)?;
                }
                self.directories.push((path.to_path_buf(), times(entry)));
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                remove(parent, name)?;
                write_file(entry, parent, name)?;
            }
            EntryType::Symlink => {
                remove(parent, name)?;
                rustix::fs::symlinkat(target(entry)?, parent, name)?;
            }
            EntryType::Link => return self.hard_link(entry, parent, name),
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                remove(parent, name)?;
                make_node(entry, parent, name, kind)?;
            }
            other => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    format!("archive entry of type {other:?}"),
                ));
            }
        }
        set_metadata(entry, parent, name, kind)
    }

    fn hard_link<R: Read>(
        &self,
        entry: &Entry<'_, R>,
        parent: &OwnedFd,
        name: &OsStr,
    ) -> io::Result<()> {
        let existing = clean(&target(entry)?)?;
        let (Some(folder), Some(file)) = (existing.parent(), existing.file_name()) else {
            return Err(invalid("hard link to the root"));
        };
        let folder = self.open(folder, OFlags::PATH | OFlags::DIRECTORY)?;
        remove(parent, name)?;
        rustix::fs::linkat(&folder, file, parent, name, AtFlags::empty())?;
        Ok(())
    }

    fn root_metadata<R: Read>(&mut self, entry: &Entry<'_, R>) -> io::Result<()> {
        if !entry.header().entry_type().is_dir() {
            return Err(invalid("the root is not a directory"));
        }
        let root = self.open(Path::new(""), OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mode = Mode::from_raw_mode(entry.header().mode()? & 0o7777);
        rustix::fs::fchown(&root, Some(uid(entry)?), Some(gid(entry)?))?;
        rustix::fs::fchmod(&root, mode)?;
        Ok(())
    }

    fn finish(&self) -> io::Result<()> {
        for (path, times) in self.directories.iter().rev() {
            match self.open(path, OFlags::RDONLY | OFlags::DIRECTORY) {
                Ok(fd) => rustix::fs::futimens(&fd, times)?,
                // A later entry of the same layer replaced it.
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

/// A path relative to the root; one with `..` is an attack, not a mistake.
fn clean(path: &Path) -> io::Result<PathBuf> {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => out.push(part),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(invalid("path leads out of the layer"));
            }
        }
    }
    Ok(out)
}

fn target<R: Read>(entry: &Entry<'_, R>) -> io::Result<PathBuf> {
    entry
        .link_name()?
        .map(std::borrow::Cow::into_owned)
        .ok_or_else(|| invalid("link without target"))
}

/// An entry that no tool for layers writes.
fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn write_file<R: Read>(entry: &mut Entry<'_, R>, parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))?;
    io::copy(entry, &mut File::from(fd))?;
    Ok(())
}

fn make_node<R: Read>(
    entry: &Entry<'_, R>,
    parent: &OwnedFd,
    name: &OsStr,
    kind: EntryType,
) -> io::Result<()> {
    let header = entry.header();
    let (major, minor) = (
        header.device_major()?.unwrap_or(0),
        header.device_minor()?.unwrap_or(0),
    );
    let kind = match kind {
        EntryType::Char if major == 0 && minor == 0 => {
            return Err(invalid("device 0:0 is overlayfs's own whiteout"));
        }
        EntryType::Char => FileType::CharacterDevice,
        EntryType::Block => FileType::BlockDevice,
        _ => FileType::Fifo,
    };
    rustix::fs::mknodat(
        parent,
        name,
        kind,
        Mode::from_raw_mode(0o600),
        rustix::fs::makedev(major, minor),
    )?;
    Ok(())
}

fn uid<R: Read>(entry: &Entry<'_, R>) -> io::Result<rustix::fs::Uid> {
    number(entry.header().uid()?).map(rustix::fs::Uid::from_raw)
}

fn gid<R: Read>(entry: &Entry<'_, R>) -> io::Result<rustix::fs::Gid> {
    number(entry.header().gid()?).map(rustix::fs::Gid::from_raw)
}

fn number(value: u64) -> io::Result<u32> {
    u32::try_from(value)
        .ok()
        .filter(|&value| value != u32::MAX)
        .ok_or_else(|| invalid("owner out of range"))
}

fn times<R: Read>(entry: &Entry<'_, R>) -> Timestamps {
    let seconds = entry
        .header()
        .mtime()
        .ok()
        .and_then(|seconds| i64::try_from(seconds).ok())
        .unwrap_or(0);
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Owner first: changing it clears set-user-id bits and file capabilities.
fn set_metadata<R: Read>(
    entry: &mut Entry<'_, R>,
    parent: &OwnedFd,
    name: &OsStr,
    kind: EntryType,
) -> io::Result<()> {
    rustix::fs::chownat(
        parent,
        name,
        Some(uid(entry)?),
        Some(gid(entry)?),
        AtFlags::SYMLINK_NOFOLLOW,
    )?;
    if kind != EntryType::Symlink {
        let mode = Mode::from_raw_mode(entry.header().mode()? & 0o7777);
        rustix::fs::chmodat(parent, name, mode, AtFlags::empty())?;
        set_xattrs(entry, parent, name)?;
    }
    rustix::fs::utimensat(parent, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

fn set_xattrs<R: Read>(entry: &mut Entry<'_, R>, parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let Some(extensions) = entry.pax_extensions()? else {
        return Ok(());
    };
    let mut wanted = Vec::new();
    for extension in extensions {
        let extension = extension?;
        let key = extension
            .key()
            .ok()
            .and_then(|key| key.strip_prefix("SCHILY.xattr."));
        if let Some(key) = key.filter(|key| XATTRS.iter().any(|prefix| key.starts_with(prefix))) {
            wanted.push((key.to_owned(), extension.value_bytes().to_vec()));
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let fd = rustix::fs::openat(
        parent,
        name,
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    for (key, value) in wanted {
        rustix::fs::fsetxattr(&fd, key.as_str(), &value, rustix::fs::XattrFlags::empty())?;
    }
    Ok(())
}

fn children(dir: &OwnedFd) -> io::Result<Vec<OsString>> {
    let readable = rustix::fs::openat(
        dir,
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut out = Vec::new();
    for entry in rustix::fs::Dir::new(readable)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            out.push(OsStr::from_bytes(name).to_os_string());
        }
    }
    Ok(out)
}

/// Removes `name` and all below it, following nothing; absence is success.
fn remove(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => return Ok(()),
        Err(rustix::io::Errno::ISDIR | rustix::io::Errno::PERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    let dir = rustix::fs::openat(
        parent,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    for child in children(&dir)? {
        remove(&dir, &child)?;
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?;
    Ok(())
}

/// Writes everything below `dir` to disk.
pub(crate) fn sync(dir: &Path) -> io::Result<()> {
    let fd = rustix::fs::openat(
        CWD,
        dir,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    rustix::fs::syncfs(fd.as_fd())?;
    Ok(())
}
