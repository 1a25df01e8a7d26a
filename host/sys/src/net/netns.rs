//! Network namespaces: make one that has a name, enter one for the length of a closure, remove it.
//!
//! A namespace belongs to a thread, so every entry runs on a thread of its own that ends with the
//! closure. Threads of the runtime never change namespace.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::thread;

use nix::mount::{MntFlags, MsFlags};
use nix::sched::CloneFlags;

use super::NetError;

/// Makes a namespace and keeps it alive by a bind mount on `path`, which must not exist yet. The
/// loopback interface is left down.
pub fn create(path: &Path) -> Result<(), NetError> {
    let make = || -> io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        File::create_new(path)?;
        on_new_thread(|| {
            nix::sched::unshare(CloneFlags::CLONE_NEWNET)?;
            let own = Path::new("/proc/thread-self/ns/net");
            nix::mount::mount(
                Some(own),
                path,
                None::<&str>,
                MsFlags::MS_BIND,
                None::<&str>,
            )
        })?
        .map_err(io::Error::from)
        .inspect_err(|_| drop(fs::remove_file(path)))
    };
    make().map_err(|source| failed(path, source))
}

/// Releases a namespace made by [`create`]. False if it was not there. The kernel frees it when the
/// last process in it ends.
pub fn delete(path: &Path) -> Result<bool, NetError> {
    match nix::mount::umount2(path, MntFlags::MNT_DETACH) {
        Ok(()) | Err(nix::Error::EINVAL) => {}
        Err(nix::Error::ENOENT) => return Ok(false),
        Err(e) => return Err(failed(path, e.into())),
    }
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(failed(path, e)),
    }
}

/// Runs `work` inside the namespace at `path` and waits for it.
pub fn run_in<T: Send>(path: &Path, work: impl FnOnce() -> T + Send) -> Result<T, NetError> {
    let run = || -> io::Result<T> {
        let namespace = File::open(path)?;
        on_new_thread(|| nix::sched::setns(&namespace, CloneFlags::CLONE_NEWNET).map(|()| work()))?
            .map_err(io::Error::from)
    };
    run().map_err(|source| failed(path, source))
}

/// Runs `work` inside a new namespace that ends with it, with loopback up and the kernel's default settings,
/// whatever ran on this machine before. For tests.
pub fn run_in_new<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, NetError> {
    let run = || -> io::Result<Result<T, NetError>> {
        on_new_thread(|| {
            nix::sched::unshare(CloneFlags::CLONE_NEWNET)?;
            Ok(super::sysctl::reset_inherited()
                .and_then(|()| super::Net::current()?.loopback_up())
                .map(|()| work()))
        })?
        .map_err(|e: nix::Error| io::Error::from(e))
    };
    run().map_err(|source| failed(Path::new("(new)"), source))?
}

/// True if both paths name the same namespace; the caller's own is `/proc/self/ns/net`.
pub fn is_same(a: &Path, b: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (a, b) = (fs::metadata(a)?, fs::metadata(b)?);
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}

fn on_new_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let handle = thread::Builder::new()
            .name("netns".into())
            .spawn_scoped(scope, work)?;
        handle
            .join()
            .map_err(|_| io::Error::other("the thread inside the namespace panicked"))
    })
}

fn failed(path: &Path, source: io::Error) -> NetError {
    NetError::Namespace {
        path: path.display().to_string(),
        source,
    }
}
