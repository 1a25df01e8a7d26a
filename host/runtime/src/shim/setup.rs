//! Turns a freshly forked process into a shim: session, namespaces, socket.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use k3s_sys::fs::SocketDir;
use k3s_sys::namespace::{self, Kind};
use k3s_sys::process;

use super::protocol::{IDENTITY, SOCKET, ShimPids, StartShim, identity};
use super::{pause, umask};

/// The kernel kills other processes first: without its shim a pod's exit codes and logs are lost.
/// The value containerd uses for its shims.
const OOM_SCORE_ADJ: i32 = -998;

/// Why a forked process could not become a shim.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    /// The kernel refused a parameter of the pod.
    #[error("set sysctl {name}={value}")]
    Sysctl {
        name: String,
        value: String,
        #[source]
        source: io::Error,
    },
    /// The kernel refused anything else.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// A shim ready to serve.
pub(super) struct Prepared {
    pub(super) listener: UnixListener,
    pub(super) dir: PathBuf,
    pub(super) pids: ShimPids,
}

pub(super) fn prepare(request: &StartShim) -> Result<Prepared, SetupError> {
    rustix::process::setsid().map_err(io::Error::from)?;
    umask::make_private();
    match process::set_oom_score_adj(OOM_SCORE_ADJ) {
        // Without CAP_SYS_RESOURCE, as inside another container, scores can only be raised.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        other => other?,
    }
    process::become_subreaper()?;
    let listener = bind(&request.dir)?;
    let shim = rustix::process::getpid().as_raw_nonzero().get();
    k3s_sys::fs::write_replace(
        &request.dir.join(IDENTITY),
        identity(shim).as_bytes(),
        0o600,
    )?;
    enter_namespaces(request)?;
    let init = if request.pid {
        Some(pause::start()?)
    } else {
        None
    };
    Ok(Prepared {
        listener,
        dir: request.dir.clone(),
        pids: ShimPids { shim, init },
    })
}

fn bind(dir: &Path) -> io::Result<UnixListener> {
    let socket_dir = SocketDir::open(dir)?;
    let listener = UnixListener::bind(socket_dir.path(SOCKET))?;
    std::fs::set_permissions(dir.join(SOCKET), std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn enter_namespaces(request: &StartShim) -> Result<(), SetupError> {
    let mut kinds = Vec::new();
    kinds.extend(request.netns.as_ref().map(|_| Kind::Net));
    kinds.extend(request.ipc.then_some(Kind::Ipc));
    kinds.extend(request.hostname.as_ref().map(|_| Kind::Uts));
    if !kinds.is_empty() {
        namespace::leave(&kinds)?;
    }
    if let Some(hostname) = request.hostname.as_ref().filter(|name| !name.is_empty()) {
        nix::unistd::sethostname(hostname).map_err(io::Error::from)?;
    }
    if let Some(path) = &request.netns {
        namespace::loopback_up()?;
        namespace::hold(Kind::Net, path)?;
    }
    request
        .sysctls
        .iter()
        .try_for_each(|(name, value)| set_sysctl(name, value))
}

/// The files of `/proc/sys/net`, `kernel/shm*` and `fs/mqueue` belong to the writer's namespaces.
fn set_sysctl(name: &str, value: &str) -> Result<(), SetupError> {
    let path = Path::new("/proc/sys").join(name.replace('.', "/"));
    std::fs::write(&path, value).map_err(|source| SetupError::Sysctl {
        name: name.to_owned(),
        value: value.to_owned(),
        source,
    })
}
