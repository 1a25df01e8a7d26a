//! Files that are either old or new, never half; paths that stay inside a root; locks; and socket
//! paths longer than `sun_path`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::{Flock, FlockArg};
use rustix::fs::{Mode, OFlags, ResolveFlags};

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

/// Removes a file or directory tree; absence is success.
///
/// # Errors
/// When the file system refuses.
pub fn remove_all(path: &Path) -> io::Result<()> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Octets used on disk by a tree, and its number of inodes; what vanishes meanwhile is not counted.
///
/// # Errors
/// When the top cannot be read.
pub fn disk_usage(top: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let (mut bytes, mut inodes) = (0, 0);
    let mut seen = std::collections::HashSet::new();
    let mut pending = vec![top.to_path_buf()];
    while let Some(path) = pending.pop() {
        let metadata = match std::fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if path == top => return Err(error),
            Err(_) => continue,
        };
        if metadata.nlink() > 1
            && !metadata.is_dir()
            && !seen.insert((metadata.dev(), metadata.ino()))
        {
            continue;
        }
        bytes += metadata.blocks() * 512;
        inodes += 1;
        if metadata.is_dir() {
            let Ok(entries) = std::fs::read_dir(&path) else {
                continue;
            };
            pending.extend(entries.flatten().map(|entry| entry.path()));
        }
    }
    Ok((bytes, inodes))
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
}
