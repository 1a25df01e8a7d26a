//! Linux namespaces: creating them, holding them by a file, entering them for one call.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::sched::{CloneFlags, setns, unshare};

/// Kinds of namespaces this workspace makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Interfaces, routes, sockets.
    Net,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Host name.
    Uts,
    /// Process numbers; only children born later are in it.
    Pid,
    /// Mount table.
    Mount,
}

impl Kind {
    fn flag(self) -> CloneFlags {
        match self {
            Self::Net => CloneFlags::CLONE_NEWNET,
            Self::Ipc => CloneFlags::CLONE_NEWIPC,
            Self::Uts => CloneFlags::CLONE_NEWUTS,
            Self::Pid => CloneFlags::CLONE_NEWPID,
            Self::Mount => CloneFlags::CLONE_NEWNS,
        }
    }

    /// Its name below `/proc/PID/ns/`.
    #[must_use]
    fn proc_name(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Pid => "pid",
            Self::Mount => "mnt",
        }
    }
}

/// Moves the calling thread into new namespaces.
///
/// # Errors
/// Without `CAP_SYS_ADMIN`.
pub fn leave(kinds: &[Kind]) -> io::Result<()> {
    unshare(
        kinds
            .iter()
            .fold(CloneFlags::empty(), |flags, kind| flags | kind.flag()),
    )?;
    Ok(())
}

/// Moves the calling thread into the namespace that `file` (`/proc/PID/ns/...`) refers to.
///
/// # Errors
/// When `file` is not of that kind.
pub fn enter(file: &File, kind: Kind) -> io::Result<()> {
    setns(file, kind.flag())?;
    Ok(())
}

/// Keeps a namespace of the calling thread alive as a file at `target`, for instance
/// `/var/run/netns/NAME`. Removed by [`release`].
///
/// # Errors
/// When the file exists or the mount fails.
pub fn hold(kind: Kind, target: &Path) -> io::Result<()> {
    if let Some(parent) = target.parent() {
        super::fs::create_dirs(parent, 0o755)?;
    }
    File::create_new(target)?;
    let source = format!("/proc/thread-self/ns/{}", kind.proc_name());
    super::mount::bind(Path::new(&source), target, false).inspect_err(|_| {
        let _ = std::fs::remove_file(target);
    })
}

/// Makes the directory for [`hold`], as a shared mount unless it is on one. `ip netns add` does so too, but
/// by a second mount on top of a directory that is not shared, below which nothing can be released. The
/// plugins of the CNI project do the same first.
///
/// # Errors
/// When the directory cannot be made or mounted.
pub fn prepare_dir(dir: &Path) -> io::Result<()> {
    super::fs::create_dirs(dir, 0o755)?;
    let dir = std::fs::canonicalize(dir)?;
    if super::mount::mount_of(&dir)?.is_some_and(|mount| mount.shared) {
        return Ok(());
    }
    match super::mount::mounts_below(&dir)?.as_slice() {
        [] => super::mount::bind(&dir, &dir, false)?,
        [only] if *only == dir => {}
        // What is held here already would be hidden, or mounted twice.
        _ => return Ok(()),
    }
    super::mount::share(&dir)
}

/// Undoes [`hold`]; absence is success. A file that another mount of the same place keeps busy stays, empty.
///
/// # Errors
/// When the mount or the file stays.
pub fn release(target: &Path) -> io::Result<()> {
    if !target.exists() {
        return Ok(());
    }
    super::mount::detach(target)?;
    match super::fs::remove_all(target) {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            tracing::warn!(file = %target.display(), "a released namespace is still mounted elsewhere; its file stays");
            Ok(())
        }
        other => other,
    }
}

/// Runs `call` on a thread of its own inside the namespace held at `path`; the thread ends after
/// it, so nothing else ever runs there.
///
/// # Errors
/// When the namespace cannot be entered or the thread panicked.
pub fn inside<T: Send + 'static>(
    path: &Path,
    kind: Kind,
    call: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let file = File::open(path)?;
    let thread = std::thread::Builder::new()
        .name("namespace".into())
        .spawn(move || enter(&file, kind).map(|()| call()))?;
    thread
        .join()
        .map_err(|_| io::Error::other("the call inside the namespace panicked"))?
}

/// Brings the loopback interface of the calling thread's network namespace up.
///
/// # Errors
/// When the kernel refuses.
pub fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    // SAFETY: an all-zero ifreq is a valid value of this plain C structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or(libc::c_short::MAX);
    // SAFETY: the descriptor is open and `request` is a complete ifreq that outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
