//! What must hold before anything is written: root, cgroups, a free port, no other server on the
//! same data.

use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

/// The running server's process id, and the lock that says it runs.
pub(crate) const PID_FILE: &str = "server.pid";

/// Checks the machine. `with_node`: containers will be run.
pub(crate) fn check(with_node: bool) -> Result<()> {
    if !nix::unistd::Uid::effective().is_root() {
        bail!("must run as root");
    }
    if with_node {
        cgroups(Path::new("/sys/fs/cgroup"), "/proc/mounts")?;
    }
    Ok(())
}

/// The controllers without which limits would be ignored.
fn cgroups(root: &Path, mounts: &str) -> Result<()> {
    let mounts = std::fs::read_to_string(mounts).context("read the mount table")?;
    if let Ok(controllers) = std::fs::read_to_string(root.join("cgroup.controllers")) {
        let all: Vec<&str> = controllers.split_whitespace().collect();
        return match ["cpu", "memory", "pids"].iter().find(|c| !all.contains(*c)) {
            Some(missing) => bail!("failed to find {missing} cgroup (v2){}", hint(missing)),
            None => Ok(()),
        };
    }
    let mounted = |c: &str| {
        mounts.lines().filter(|l| l.contains(" cgroup ")).any(|l| {
            l.split(' ')
                .nth(3)
                .is_some_and(|o| o.split(',').any(|w| w == c))
        })
    };
    match ["cpu", "memory"].iter().find(|c| !mounted(c)) {
        Some(missing) => bail!("failed to find {missing} cgroup{}", hint(missing)),
        None => Ok(()),
    }
}

fn hint(controller: &str) -> &'static str {
    if controller == "memory" {
        ": you may need to add \"cgroup_memory=1 cgroup_enable=memory\" to the kernel's command line"
    } else {
        ": mount the cgroup hierarchies below /sys/fs/cgroup"
    }
}

/// Binds the API's port before anything else is done.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| format!("listen tcp {address}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Held while the server runs.
#[derive(Debug)]
pub(crate) struct ServerLock {
    _file: Flock<File>,
}

impl ServerLock {
    /// Refuses a second server on the same data directory.
    pub(crate) fn acquire(server_dir: &Path) -> Result<Self> {
        let path: PathBuf = server_dir.join(PID_FILE);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .with_context(|| path.display().to_string())?;
        let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err(_) => bail!(
                "another server runs on {} (process {})",
                server_dir.display(),
                std::fs::read_to_string(&path).unwrap_or_default().trim()
            ),
        };
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { _file: file })
    }

    /// The process that holds the lock, if one does.
    pub(crate) fn holder(server_dir: &Path) -> Option<i32> {
        let path = server_dir.join(PID_FILE);
        let file = File::open(&path).ok()?;
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_) => None,
            Err(_) => std::fs::read_to_string(&path).ok()?.trim().parse().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_refused_with_the_first_one_s_process() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(ServerLock::holder(dir.path()), None);
        let lock = ServerLock::acquire(dir.path()).unwrap();
        let error = ServerLock::acquire(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("process {}", std::process::id())),
            "{error}"
        );
        assert_eq!(
            ServerLock::holder(dir.path()),
            i32::try_from(std::process::id()).ok()
        );
        drop(lock);
        assert_eq!(ServerLock::holder(dir.path()), None);
    }

    #[test]
    fn missing_controllers_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let mounts = dir.path().join("mounts");
        let check = |text: &str| {
            std::fs::write(&mounts, text).unwrap();
            cgroups(dir.path(), mounts.to_str().unwrap())
        };
        let cpu = "cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0\n";
        let error = check(cpu).unwrap_err().to_string();
        assert!(error.starts_with("failed to find memory cgroup"), "{error}");
        check(&format!(
            "{cpu}cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n"
        ))
        .unwrap();
        std::fs::write(dir.path().join("cgroup.controllers"), "cpu io pids").unwrap();
        let error = check("").unwrap_err().to_string();
        assert!(
            error.starts_with("failed to find memory cgroup (v2)"),
            "{error}"
        );
    }
}
