//! Mounting, unmounting and reading the mount table.

use std::cmp::Reverse;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags};

/// The kernel copies at most one page of mount options.
const OPTIONS_LIMIT_BYTES: usize = 4095;

/// One line of `/proc/self/mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPoint {
    /// The directory of the file system that is visible at the mount point.
    pub root: PathBuf,
    /// The directory on which it is mounted.
    pub target: PathBuf,
    /// File system type.
    pub kind: String,
    /// Its source: a device, or a name of the file system's own.
    pub source: String,
    /// Options of the superblock, comma-separated.
    pub super_options: String,
    /// True when mounts below it propagate to peers.
    pub shared: bool,
    /// True when it receives mounts from a peer group.
    pub slave: bool,
}

/// Mounts an overlay of `lowers` (topmost first) with a writable layer at `target`.
///
/// # Errors
/// Also when the option string exceeds one page: pass short (relative) lower paths then.
pub fn overlay(lowers: &[PathBuf], upper: &Path, work: &Path, target: &Path) -> io::Result<()> {
    let escape = |path: &Path| {
        path.to_string_lossy()
            .replace('\\', "\\\\")
            .replace(',', "\\,")
            .replace(':', "\\:")
    };
    let lower = lowers
        .iter()
        .map(|path| escape(path))
        .collect::<Vec<_>>()
        .join(":");
    let options = format!(
        "lowerdir={lower},upperdir={},workdir={}",
        escape(upper),
        escape(work)
    );
    if options.len() > OPTIONS_LIMIT_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "overlay of {} layers needs more than one page of options",
                lowers.len()
            ),
        ));
    }
    nix::mount::mount(
        Some("overlay"),
        target,
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    )?;
    Ok(())
}

/// Makes `source` visible at `target` too; with `recursive` also what is mounted below it.
///
/// # Errors
/// When `mount(2)` fails.
pub fn bind(source: &Path, target: &Path, recursive: bool) -> io::Result<()> {
    let flags = if recursive {
        MsFlags::MS_BIND | MsFlags::MS_REC
    } else {
        MsFlags::MS_BIND
    };
    nix::mount::mount(Some(source), target, None::<&str>, flags, None::<&str>)?;
    Ok(())
}

/// Lets mounts below the mount point `target` propagate to peers.
///
/// # Errors
/// When nothing is mounted there.
pub fn share(target: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_SHARED | MsFlags::MS_REC;
    nix::mount::mount(None::<&str>, target, None::<&str>, flags, None::<&str>)?;
    Ok(())
}

/// Cuts the calling process's mounts off from those of its peers, after it has left their namespace.
///
/// # Errors
/// When `mount(2)` fails.
pub fn make_private() -> io::Result<()> {
    let flags = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
    nix::mount::mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)?;
    Ok(())
}

/// Detaches `target` from the mount table now; it ends with its last user. No mount there is
/// success.
///
/// # Errors
/// When `umount2(2)` fails for another reason.
pub fn detach(target: &Path) -> io::Result<()> {
    match nix::mount::umount2(target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Detaches every mount at or below `prefix`, deepest first.
///
/// # Errors
/// The last failure; the others were still tried.
pub fn detach_below(prefix: &Path) -> io::Result<()> {
    let mut last = Ok(());
    for target in &mounts_below(prefix)? {
        last = detach(target).and(last);
    }
    last
}

/// Mount points at or below `prefix`, in the order in which they can be unmounted: deepest first, and of
/// several at the same place the newest first.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn mounts_below(prefix: &Path) -> io::Result<Vec<PathBuf>> {
    let mut targets: Vec<PathBuf> = table()?
        .into_iter()
        .map(|mount| mount.target)
        .filter(|target| target.starts_with(prefix))
        .collect();
    targets.reverse();
    targets.sort_by_key(|target| Reverse(target.as_os_str().len()));
    Ok(targets)
}

/// The mount table of this process, oldest mount first.
pub(crate) fn table() -> io::Result<Vec<MountPoint>> {
    Ok(std::fs::read_to_string("/proc/self/mountinfo")?
        .lines()
        .filter_map(parse_line)
        .collect())
}

/// True when something is mounted exactly at `path`.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn is_mount_point(path: &Path) -> io::Result<bool> {
    Ok(table()?.iter().any(|mount| mount.target == path))
}

/// The mount that `path` is on.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn mount_of(path: &Path) -> io::Result<Option<MountPoint>> {
    let below = table()?
        .into_iter()
        .filter(|mount| path.starts_with(&mount.target));
    Ok(below.max_by_key(|mount| mount.target.as_os_str().len()))
}

/// See proc(5): fixed fields, optional fields, `-`, then type, source and super options.
fn parse_line(line: &str) -> Option<MountPoint> {
    let (fixed, rest) = line.split_once(" - ")?;
    let mut fields = fixed.split(' ').skip(3);
    let (root, target) = (fields.next()?, fields.next()?);
    let optional: Vec<_> = fields.skip(1).collect();
    let mut rest = rest.splitn(3, ' ');
    Some(MountPoint {
        root: unescape(root).into(),
        target: unescape(target).into(),
        kind: rest.next()?.to_owned(),
        source: unescape(rest.next()?),
        super_options: rest.next().unwrap_or_default().to_owned(),
        shared: optional.iter().any(|field| field.starts_with("shared:")),
        slave: optional.iter().any(|field| field.starts_with("master:")),
    })
}

/// Undoes the octal escapes of blank, tab, newline and backslash.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        match after
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok())
        {
            Some(octet) => {
                out.push(char::from(octet));
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_is_read() {
        let line = r"36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue";
        let mount = parse_line(line).unwrap();
        assert_eq!(mount.root, PathBuf::from("/mnt1"));
        assert_eq!(mount.target, PathBuf::from("/mnt 2"));
        assert_eq!(
            (mount.kind.as_str(), mount.source.as_str()),
            ("ext3", "/dev/root")
        );
        assert!(mount.shared && mount.slave);
        assert!(
            table()
                .unwrap()
                .iter()
                .any(|mount| mount.target == Path::new("/proc"))
        );
    }

    #[test]
    fn too_many_layers_are_refused_before_the_kernel_cuts_them() {
        let lowers = vec![PathBuf::from("x".repeat(100)); 50];
        let error = overlay(
            &lowers,
            Path::new("u"),
            Path::new("w"),
            Path::new("/nowhere"),
        )
        .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
