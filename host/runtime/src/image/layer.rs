//! Applies one layer archive to a mounted root file system (OCI image specification, `layer.md`).
//!
//! Archives are hostile: every path is resolved inside the root by the kernel
//! (`RESOLVE_IN_ROOT`), the last component is never followed, and extended attributes that steer
//! overlayfs or a security module are left out.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use k3s_sys::fs::remove_at;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use tar::{Entry, EntryType};

use super::content::HashingReader;
use super::error::ImageError;
use super::room::Room;
use super::tarball::{Cancelled, for_each_entry};

const WHITEOUT: &[u8] = b".wh.";
const WHITEOUT_OPAQUE: &[u8] = b".wh..wh..opq";
const WHITEOUT_META: &[u8] = b".wh..wh.";
/// Attributes an image may carry.
const XATTRS: [&str; 3] = ["user.", "security.capability", "system.posix_acl_"];
const COPY_BUFFER_BYTES: usize = 128 << 10;
/// Levels of directories in an image. Tools that use whole paths can hardly make more.
const DEPTH_LIMIT: usize = 512;
/// Length of the names of a layer's directories together; those of large images have a few MiB.
const DIRECTORIES_LIMIT_BYTES: usize = 64 << 20;

/// Unpacks the layer `file` (plain or compressed) into `root`; returns the digest of the
/// uncompressed archive.
pub(crate) fn apply(file: File, root: &Path, cancelled: &Cancelled) -> Result<String, ImageError> {
    let reader = HashingReader::new(decompress(file)?);
    let mut unpack = Unpack::new(root)?;
    let reader = for_each_entry(reader, cancelled, |_, entry| {
        let path = entry.path()?.into_owned();
        let unpacked = unpack.entry(entry, &path);
        unpacked.map_err(|source| ImageError::Entry { path, source })
    })?;
    unpack.finish()?;
    Ok(reader.finish()?)
}

/// Unpacks a layer in this process, with all bounds but those of memory and time. Returns the digest of the uncompressed
/// archive.
///
/// # Errors
/// The cause is what is wrong with the layer, or the disk.
pub fn unpack_layer(layer: File, root: &Path) -> io::Result<String> {
    apply(layer, root, &Cancelled::default()).map_err(io::Error::other)
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
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, ..] => {
            Box::new(bzip2::bufread::MultiBzDecoder::new(reader))
        }
        [0x04, 0x22, 0x4d, 0x18, ..] => Box::new(lz4_flex::frame::FrameDecoder::new(reader)),
        _ => Box::new(reader),
    })
}

struct Unpack {
    root: OwnedFd,
    /// Of the root, on this machine.
    root_path: PathBuf,
    room: Room,
    /// Digests of the paths that this layer made: an opaque mark hides only what was below it.
    seen: HashSet<[u8; 16]>,
    /// Times of directories are set last: making things in them changes them.
    directories: Vec<(PathBuf, Timestamps)>,
    /// Length of the paths in `directories`.
    directories_bytes: usize,
}

impl Unpack {
    fn new(root: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(root, flags, Mode::empty())?;
        Ok(Self {
            root_path: path_of(&fd)?,
            root: fd,
            room: Room::of(root)?,
            seen: HashSet::new(),
            directories: Vec::new(),
            directories_bytes: 0,
        })
    }

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
        self.room.made_inode()?;
        self.seen.insert(key(&path));
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
        let mut missing = Vec::new();
        for ancestor in path.ancestors() {
            match self.open(ancestor, OFlags::PATH | OFlags::DIRECTORY) {
                Ok(mut here) => {
                    for name in missing.into_iter().rev() {
                        here = self.make_directory(&here, name, Mode::from_raw_mode(0o755))?;
                    }
                    return Ok(here);
                }
                Err(Errno::NOENT) => missing.extend(ancestor.file_name()),
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Makes a directory unless it would lie too deep. Links make the way to it shorter than it is, so
    /// the depth is taken from where the kernel sees the parent.
    fn make_directory(&self, parent: &OwnedFd, name: &OsStr, mode: Mode) -> io::Result<OwnedFd> {
        let too_deep = || invalid("directories are nested too deeply");
        let at = match path_of(parent) {
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => return Err(too_deep()),
            other => other?,
        };
        let below_root = at.strip_prefix(&self.root_path).map_err(io::Error::other)?;
        if below_root.components().count() >= DEPTH_LIMIT {
            return Err(too_deep());
        }
        match rustix::fs::mkdirat(parent, name, mode) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(invalid("a link in the way leads nowhere")),
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
    }

    fn note_directory(&mut self, path: &Path, times: Timestamps) -> io::Result<()> {
        self.directories_bytes += path.as_os_str().len();
        if self.directories_bytes > DIRECTORIES_LIMIT_BYTES {
            return Err(invalid("the names of the layer's directories are too long"));
        }
        self.directories.push((path.to_path_buf(), times));
        Ok(())
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
                if !self.seen.contains(&key(&parent_path.join(&child))) {
                    remove_at(parent.as_fd(), &child)?;
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
        remove_at(parent.as_fd(), hidden)
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
                    remove_at(parent.as_fd(), name)?;
                    self.make_directory(parent, name, mode)?;
                }
                self.note_directory(path, times(entry))?;
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                remove_at(parent.as_fd(), name)?;
                write_file(entry, parent, name, &mut self.room)?;
            }
            EntryType::Symlink => {
                remove_at(parent.as_fd(), name)?;
                rustix::fs::symlinkat(target(entry)?, parent, name)?;
            }
            EntryType::Link => return self.hard_link(entry, parent, name),
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                remove_at(parent.as_fd(), name)?;
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
        remove_at(parent.as_fd(), name)?;
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
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

/// A path relative to the root; one with `..` is an attack, not a mistake.
fn clean(path: &Path) -> io::Result<PathBuf> {
    let mut out = PathBuf::new();
    for (depth, component) in path.components().enumerate() {
        if depth > DEPTH_LIMIT {
            return Err(invalid("directories are nested too deeply"));
        }
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

/// Stands for a path, which may be much longer.
fn key(path: &Path) -> [u8; 16] {
    let digest = Sha256::digest(path.as_os_str().as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(digest.get(..16).unwrap_or_default());
    key
}

/// Where the kernel sees an opened directory.
fn path_of(dir: &OwnedFd) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd()))
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

fn write_file<R: Read>(
    entry: &mut Entry<'_, R>,
    parent: &OwnedFd,
    name: &OsStr,
    room: &mut Room,
) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))?;
    copy(entry, &mut File::from(fd), room)
}

/// Copies an entry's content to a file, as far as there is room.
pub(crate) fn copy(entry: &mut impl Read, file: &mut File, room: &mut Room) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    loop {
        let count = match entry.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        file.write_all(buffer.get(..count).unwrap_or_default())?;
        room.wrote(count)?;
    }
}

fn make_node<R: Read>(
    entry: &Entry<'_, R>,
    parent: &OwnedFd,
    name: &OsStr,
    kind: EntryType,
) -> io::Result<()> {
    let (kind, (major, minor)) = match kind {
        EntryType::Char => (FileType::CharacterDevice, device_numbers(entry)?),
        EntryType::Block => (FileType::BlockDevice, device_numbers(entry)?),
        // Some tools leave its numbers empty.
        _ => (FileType::Fifo, (0, 0)),
    };
    if kind == FileType::CharacterDevice && (major, minor) == (0, 0) {
        return Err(invalid("device 0:0 is overlayfs's own whiteout"));
    }
    let device = rustix::fs::makedev(major, minor);
    rustix::fs::mknodat(parent, name, kind, Mode::from_raw_mode(0o600), device)?;
    Ok(())
}

fn device_numbers<R: Read>(entry: &Entry<'_, R>) -> io::Result<(u32, u32)> {
    let header = entry.header();
    Ok((
        header.device_major()?.unwrap_or(0),
        header.device_minor()?.unwrap_or(0),
    ))
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
    }
    // To set attributes a file is opened, and to open a device may do something (a watchdog begins to count).
    if kind.is_file() || kind.is_dir() || kind.is_contiguous() || kind.is_gnu_sparse() {
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
