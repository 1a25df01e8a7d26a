//! What pod volumes need from the kernel: tmpfs and bind mounts, path resolution that cannot leave a
//! volume, group ownership of trees and file system usage.
//!
//! A volume's content belongs to the pod, so every path below it is hostile: it is opened relative
//! to the volume's directory with `openat2(RESOLVE_BENEATH)`, and only the resulting descriptor is
//! used afterwards (the race that CVE-2017-1002101 and CVE-2021-25741 used).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use rustix::mount::MountFlags;

use crate::walk::{Mounts, walk};

/// Size and use of one file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FsUsage {
    /// Size of the file system.
    pub capacity_bytes: u64,
    /// What an unprivileged writer may still use.
    pub available_bytes: u64,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Inodes in all; 0 where the file system does not count them.
    pub inodes: u64,
    /// Inodes free.
    pub inodes_free: u64,
}

/// Mounts a tmpfs of at most `size_bytes` on the existing directory `target`.
pub fn mount_tmpfs(target: &Path, size_bytes: Option<u64>, mode: u32) -> io::Result<()> {
    let mut data = format!("mode={mode:o}");
    if let Some(size) = size_bytes {
        data.push_str(&format!(",size={size}"));
    }
    let data = CString::new(data)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(rustix::mount::mount(
        "tmpfs",
        target,
        "tmpfs",
        flags,
        data.as_c_str(),
    )?)
}

/// Opens `relative` below `root` without ever leaving it: `..` or a symlink that escapes gives
/// `EXDEV` (as [`io::ErrorKind::CrossesDevices`]). The descriptor is `O_PATH`.
pub fn open_beneath(root: &Path, relative: &Path) -> io::Result<OwnedFd> {
    let dir = rustix::fs::open(
        root,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let relative = if relative.as_os_str().is_empty() {
        Path::new(".")
    } else {
        relative
    };
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(
        &dir,
        relative,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        how,
    )?)
}

/// Like [`open_beneath`], making missing directories (mode `mode`) on the way.
pub fn create_beneath(root: &Path, relative: &Path, mode: u32) -> io::Result<OwnedFd> {
    let mut walked = PathBuf::new();
    for component in relative.components() {
        match component {
            Component::Normal(name) => {
                let parent = open_beneath(root, &walked)?;
                match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(mode)) {
                    // mkdir applies the umask; the caller means the mode as given.
                    Ok(()) => rustix::fs::chmodat(
                        &parent,
                        name,
                        Mode::from_raw_mode(mode),
                        AtFlags::empty(),
                    )?,
                    Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                walked.push(name);
            }
            Component::CurDir => {}
            _ => {
                return Err(io::Error::from_raw_os_error(Errno::XDEV.raw_os_error()));
            }
        }
    }
    open_beneath(root, &walked)
}

/// Whether an opened path is a directory.
pub fn is_directory(fd: &OwnedFd) -> io::Result<bool> {
    let stat = rustix::fs::fstat(fd)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// Bind-mounts what `source` refers to on the existing file or directory `target`.
pub fn bind_descriptor(source: &OwnedFd, target: &Path) -> io::Result<()> {
    let link = format!("/proc/self/fd/{}", source.as_raw_fd());
    Ok(rustix::mount::mount_bind_recursive(link.as_str(), target)?)
}

/// Usage of the file system that holds `path`.
pub fn usage(path: &Path) -> io::Result<FsUsage> {
    let stat = rustix::fs::statvfs(path)?;
    let block = stat.f_frsize.max(1);
    Ok(FsUsage {
        capacity_bytes: stat.f_blocks * block,
        available_bytes: stat.f_bavail * block,
        used_bytes: stat.f_blocks.saturating_sub(stat.f_bfree) * block,
        inodes: stat.f_files,
        inodes_free: stat.f_ffree,
    })
}

/// Changes the group of a tree as Kubernetes' `fsGroup` does (`pkg/volume/volume_linux.go`): owner kept,
/// group set, group may read (and write, unless `read_only`), directories keep their group.
/// With `only_root_mismatch` a tree whose root already fits is left alone.
pub fn own_by_group(
    root: &Path,
    group: u32,
    read_only: bool,
    only_root_mismatch: bool,
) -> io::Result<()> {
    let bits = if read_only { 0o440 } else { 0o660 };
    if only_root_mismatch {
        let meta = std::fs::symlink_metadata(root)?;
        let wanted = bits | 0o2110;
        if meta.gid() == group && meta.mode() & wanted == wanted {
            return Ok(());
        }
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = rustix::fs::open(root, flags, Mode::empty())?;
    own_entry(CWD, root, &rustix::fs::fstat(&top)?, group, bits)?;
    walk(top, Mounts::Enter, &mut |entry| {
        match own_entry(entry.dir, entry.name, &entry.stat, group, bits) {
            // It vanished, or was replaced by a link, since it was seen.
            Err(Errno::NOENT | Errno::OPNOTSUPP) => Ok(()),
            other => Ok(other?),
        }
    })
}

fn own_entry<P: rustix::path::Arg + Copy>(
    dir: BorrowedFd<'_>,
    name: P,
    stat: &Stat,
    group: u32,
    bits: u32,
) -> rustix::io::Result<()> {
    let group = Some(Gid::from_raw(group));
    rustix::fs::chownat(dir, name, None, group, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => Ok(()),
        FileType::Directory => set_mode(dir, name, stat.st_mode | bits | 0o2110),
        _ => set_mode(dir, name, stat.st_mode | bits),
    }
}

/// Sets permission bits regardless of the umask, without following a symlink at the last step.
fn set_mode<P: rustix::path::Arg>(
    dir: BorrowedFd<'_>,
    name: P,
    mode: u32,
) -> rustix::io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::fs::chmod(link.as_str(), Mode::from_raw_mode(mode & 0o7777))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir =
            std::env::temp_dir().join(format!("k3s-sys-volume-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn symlinks_stay_inside_or_are_refused() {
        let root = scratch("beneath");
        std::fs::write(root.join("file"), b"x").unwrap();
        std::os::unix::fs::symlink("file", root.join("good")).unwrap();
        std::os::unix::fs::symlink("/etc", root.join("absolute")).unwrap();
        std::os::unix::fs::symlink("../..", root.join("up")).unwrap();
        assert!(open_beneath(&root, Path::new("good")).is_ok());
        for escape in ["absolute", "absolute/passwd", "up", "../x", "/etc"] {
            let error = open_beneath(&root, Path::new(escape)).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(18), "{escape}: {error}");
        }
        assert!(create_beneath(&root, Path::new("absolute/new"), 0o755).is_err());
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn missing_directories_get_the_mode_asked_for() {
        let root = scratch("create");
        let fd = create_beneath(&root, Path::new("a/b"), 0o777).unwrap();
        assert!(is_directory(&fd).unwrap());
        assert_eq!(
            std::fs::metadata(root.join("a/b")).unwrap().mode() & 0o777,
            0o777
        );
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn usage_of_the_root_is_plausible() {
        let usage = usage(Path::new("/")).unwrap();
        assert!(usage.capacity_bytes >= usage.used_bytes && usage.capacity_bytes > 0);
    }
}
