//! Files that are either old or new, never half; trees that are made, measured and removed; paths that
//! stay inside a root; locks; and socket paths longer than `sun_path`.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::{Flock, FlockArg};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::walk::{Mounts, walk};

static SEQUENCE: AtomicU64 = AtomicU64::new(0);

/// Replaces `path` with `bytes` atomically and durably; the file gets `mode` whatever the umask.
/// The content is never readable by more than `mode` allows, not even for a moment.
///
/// # Errors
/// The operating system's; the old file is untouched then.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace(path, bytes, mode, true)
}

/// As [`write_atomic`], but safe only against a killed process, not a power cut: for state that a
/// reboot makes meaningless or that is checked when read.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace(path, bytes, mode, false)
}

fn replace(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> io::Result<()> {
    let parent = path
        .parent()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "path has no parent"))?;
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "path has no name"))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
    temporary.push(format!(".{}.{sequence}.tmp", std::process::id()));
    let temporary = parent.join(temporary);
    if let Err(error) = write_and_rename(&temporary, path, bytes, mode, durable) {
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    if durable {
        File::open(parent)?.sync_all()
    } else {
        Ok(())
    }
}

fn write_and_rename(
    temporary: &Path,
    path: &Path,
    bytes: &[u8],
    mode: u32,
    durable: bool,
) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode & 0o600)
        .open(temporary)?;
    file.write_all(bytes)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    if durable {
        file.sync_all()?;
    }
    std::fs::rename(temporary, path)
}

/// An exclusive advisory lock, held until dropped or the process ends.
#[derive(Debug)]
pub struct FileLock(Flock<File>);

impl FileLock {
    /// Acquires the lock on `path`, creating the file; `WouldBlock` when another process holds it.
    ///
    /// # Errors
    /// Also when the file cannot be opened.
    pub fn acquire(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map(Self)
            .map_err(|(_, errno)| errno.into())
    }

    /// The locked file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.0
    }
}

/// Opens `path` as if `root` were `/`: neither `..` nor a symbolic link leads outside
/// (`openat2` with `RESOLVE_IN_ROOT`).
///
/// # Errors
/// When `openat2(2)` fails.
pub fn open_in_root(root: &Path, path: &Path) -> io::Result<File> {
    let root = rustix::fs::open(
        root,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = rustix::fs::openat2(
        &root,
        path,
        flags,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )?;
    Ok(File::from(fd))
}

/// Reads a small text file inside `root`; none when it does not exist. At most `limit_bytes`.
///
/// # Errors
/// When it is larger than the limit, not a regular file, or cannot be read.
pub fn read_in_root(root: &Path, path: &Path, limit_bytes: u64) -> io::Result<Option<String>> {
    let file = match open_in_root(root, path) {
        Ok(file) => file,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > limit_bytes {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "{} is not a regular file of at most {limit_bytes} bytes",
                path.display()
            ),
        ));
    }
    let mut text = String::new();
    file.take(limit_bytes).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// A directory held open so that a socket in it can be named by a short path, however deep the
/// directory is: `sun_path` has only 108 octets.
#[derive(Debug)]
pub struct SocketDir(OwnedFd);

impl SocketDir {
    /// Opens `dir`.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn open(dir: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(
            dir,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?))
    }

    /// A path to bind or connect to, valid while `self` lives.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!(
            "/proc/self/fd/{}/{name}",
            self.0.as_fd().as_raw_fd()
        ))
    }
}

/// Removes a file or directory tree of any depth; absence is success. Links are removed, not
/// followed, and what is mounted inside is not touched.
///
/// # Errors
/// When the file system refuses, and `EXDEV` when something is mounted inside; a part may be removed then.
pub fn remove_all(path: &Path) -> io::Result<()> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "path has no name"))?;
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(parent, flags, Mode::empty()) {
        Ok(parent) => remove_at(parent.as_fd(), name),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// As [`remove_all`], for an entry of an opened directory.
///
/// # Errors
/// As [`remove_all`].
pub fn remove_at(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    crate::confined::remove_entry(dir, name).map(drop)
}

/// Makes `path` and what is missing above it, all with `mode` whatever the umask. Directories that
/// exist stay as they are.
///
/// # Errors
/// The operating system's.
pub fn create_dirs(path: &Path, mode: u32) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|dir| !dir.exists()).collect();
    for dir in missing.into_iter().rev() {
        match std::fs::DirBuilder::new().mode(mode).create(dir) {
            Ok(()) => std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// As [`create_dirs`], and gives an existing `path` this `mode` too: earlier versions, or an
/// administrator, may have made it more open.
///
/// # Errors
/// The operating system's.
pub fn create_dirs_exactly(path: &Path, mode: u32) -> io::Result<()> {
    create_dirs(path, mode)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// What a tree uses on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeUsage {
    /// Octets in allocated blocks; those of a file with several names count once.
    pub bytes: u64,
    /// Files and directories, the top included.
    pub inodes: u64,
}

/// Attempts to measure a tree whose directories are moved meanwhile.
const MEASURE_ATTEMPTS: usize = 3;

/// What a file, or a tree of any depth, uses on disk. What vanishes meanwhile is not counted, nor is
/// what is mounted inside. A tree that cannot be measured counts as all that its file system holds,
/// so that nothing is hidden by making it hard to read.
///
/// # Errors
/// When the top does not exist, or its file system cannot be asked either.
pub fn disk_usage(top: &Path) -> io::Result<TreeUsage> {
    let mut attempts = 1;
    loop {
        match measure(top) {
            Err(error) if is_stale(&error) && attempts < MEASURE_ATTEMPTS => attempts += 1,
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %top.display(), %error, "a tree cannot be measured");
                return upper_bound(top);
            }
            other => return other,
        }
    }
}

fn upper_bound(top: &Path) -> io::Result<TreeUsage> {
    let usage = crate::volume::usage(top)?;
    Ok(TreeUsage {
        bytes: usage.used_bytes,
        inodes: usage.inodes.saturating_sub(usage.inodes_free),
    })
}

fn is_stale(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::STALE.raw_os_error())
}

fn measure(top: &Path) -> io::Result<TreeUsage> {
    let mut usage = TreeUsage::default();
    let mut seen = HashSet::new();
    let mut count = |stat: &Stat| {
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let has_names = stat.st_nlink > 1 && !is_directory;
        if has_names && !seen.insert((stat.st_dev, stat.st_ino)) {
            return;
        }
        let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
        usage.bytes = usage.bytes.saturating_add(blocks.saturating_mul(512));
        usage.inodes += 1;
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::open(top, flags, Mode::empty()) {
        Ok(dir) => {
            count(&rustix::fs::fstat(&dir)?);
            walk(dir, Mounts::Skip, &mut |entry| {
                count(&entry.stat);
                Ok(())
            })?;
        }
        Err(Errno::NOTDIR | Errno::LOOP) => count(&rustix::fs::lstat(top)?),
        Err(errno) => return Err(errno.into()),
    }
    Ok(usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_atomic(&path, b"one", 0o600).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let below_a_file = path.join("nested");
        assert!(write_atomic(&below_a_file, b"two", 0o600).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        write_replace(&path, b"two", 0o644).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn links_do_not_lead_out_of_a_root() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        std::fs::create_dir(dir.join("etc")).unwrap();
        std::os::unix::fs::symlink("/../../../../etc/passwd", dir.join("etc/evil")).unwrap();
        std::os::unix::fs::symlink("/etc/real", dir.join("etc/link")).unwrap();
        std::fs::write(dir.join("etc/real"), "inside").unwrap();
        assert_eq!(
            read_in_root(dir, Path::new("etc/evil"), 1 << 20).unwrap(),
            None
        );
        assert_eq!(
            read_in_root(dir, Path::new("/etc/link"), 1 << 20)
                .unwrap()
                .as_deref(),
            Some("inside")
        );
        assert!(read_in_root(dir, Path::new("etc/real"), 3).is_err());
    }

    #[test]
    fn sockets_live_below_long_paths() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("d".repeat(120));
        std::fs::create_dir_all(&dir).unwrap();
        let short = SocketDir::open(&dir).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(short.path("s")).unwrap();
        assert!(dir.join("s").exists());
        std::os::unix::net::UnixStream::connect(short.path("s")).unwrap();
    }

    #[test]
    fn a_lock_is_exclusive() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        let held = FileLock::acquire(&dir.join("lock")).unwrap();
        assert_eq!(
            FileLock::acquire(&dir.join("lock")).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        drop(held);
        FileLock::acquire(&dir.join("lock")).unwrap();
    }

    /// A chain of directories, with a file of 10,000 octets in the last one.
    fn deep(top: &Path, levels: usize) {
        std::fs::create_dir(top).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut here = rustix::fs::open(top, flags, Mode::empty()).unwrap();
        for _ in 0..levels {
            rustix::fs::mkdirat(&here, "d", Mode::from_raw_mode(0o755)).unwrap();
            here = rustix::fs::openat(&here, "d", flags, Mode::empty()).unwrap();
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&here, "f", flags, Mode::from_raw_mode(0o644)).unwrap();
        File::from(file).write_all(&[1; 10_000]).unwrap();
    }

    #[test]
    fn a_tree_of_30000_levels_is_measured_owned_and_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let top = scratch.path().join("top");
        deep(&top, 30_000);
        let usage = disk_usage(&top).unwrap();
        assert_eq!(usage.inodes, 30_002);
        assert!(usage.bytes >= 10_000, "{usage:?}");
        crate::volume::own_by_group(&top, 1234, false, false).unwrap();
        remove_all(&top).unwrap();
        assert!(!top.exists());
        remove_all(&top).unwrap();
    }

    #[test]
    fn levels_without_a_descriptor_lose_no_entry() {
        let scratch = tempfile::tempdir().unwrap();
        let top = scratch.path().join("top");
        deep(&top, 100);
        // Beside the chain, in levels that the walk leaves and comes back to.
        for level in [0, 1, 30, 99] {
            let beside = top.join("d/".repeat(level));
            for name in ["a", "e", "z"] {
                std::fs::create_dir_all(beside.join(name).join("below")).unwrap();
            }
        }
        assert_eq!(disk_usage(&top).unwrap().inodes, 102 + 4 * 3 * 2);
        remove_all(&top).unwrap();
        assert!(!top.exists());
    }

    #[test]
    fn usage_counts_a_file_once_and_follows_no_link() {
        let scratch = tempfile::tempdir().unwrap();
        let top = scratch.path().join("top");
        std::fs::create_dir_all(top.join("a")).unwrap();
        std::fs::write(top.join("a/file"), vec![1; 100_000]).unwrap();
        std::fs::hard_link(top.join("a/file"), top.join("again")).unwrap();
        std::os::unix::fs::symlink("/", top.join("link")).unwrap();
        let usage = disk_usage(&top).unwrap();
        assert_eq!(usage.inodes, 4);
        assert!((100_000..200_000).contains(&usage.bytes), "{usage:?}");
        assert_eq!(disk_usage(&top.join("a/file")).unwrap().inodes, 1);
        assert!(disk_usage(&top.join("missing")).is_err());
    }

    #[test]
    fn directories_get_the_mode_asked_for_whatever_the_umask() {
        let scratch = tempfile::tempdir().unwrap();
        let below = scratch.path().join("a/b");
        create_dirs(&below, 0o711).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&below), 0o711);
        assert_eq!(mode(below.parent().unwrap()), 0o711);
        create_dirs(&below, 0o700).unwrap();
        assert_eq!(mode(&below), 0o711, "an existing directory stays");
        create_dirs_exactly(&below, 0o700).unwrap();
        assert_eq!(mode(&below), 0o700);
    }
}
