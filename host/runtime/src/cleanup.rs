//! Ends everything that outlives the server by design: for `k3s killall`, and for tests.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use k3s_sys::cgroup::Cgroups;
use k3s_sys::{mount, process};

use crate::pod::record::{self, ContainerRecord, SandboxRecord};
use crate::shim::protocol::{ARGV0, IDENTITY, identity};

/// Kills every shim that serves below `state`, the containers recorded below `root` with all their
/// processes, and removes their mounts, control groups and network namespaces, and `state` itself.
/// Records and images below `root` stay. The server must not run. Continues after a failure and
/// returns the first one.
///
/// # Errors
/// When something could not be removed.
pub fn kill_everything(state: &Path, root: &Path) -> io::Result<()> {
    let mut first = Ok(());
    let mut note = |result: io::Result<()>| {
        if first.is_ok() {
            first = result;
        }
    };
    note(kill_shims(state));
    for record in records::<ContainerRecord>(&root.join("containers"), "container.json") {
        note(end_group(&record.cgroup));
    }
    for record in records::<SandboxRecord>(&root.join("sandboxes"), "") {
        if let Some(netns) = &record.netns {
            note(k3s_sys::namespace::release(netns));
        }
    }
    note(mount::detach_below(state));
    note(mount::detach_below(root));
    note(k3s_sys::fs::remove_all(state));
    first
}

fn end_group(path: &str) -> io::Result<()> {
    if path.trim_matches('/').is_empty() {
        return Ok(());
    }
    let group = Cgroups::detect()?.group(path);
    group.kill()?;
    group.remove()
}

fn records<T: serde::de::DeserializeOwned>(dir: &Path, file: &str) -> Vec<T> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            record::load(&if file.is_empty() {
                entry.path()
            } else {
                entry.path().join(file)
            })
            .ok()
        })
        .collect()
}

/// Finds shims by the file each writes beside its socket: other servers on this machine have shims
/// too.
fn kill_shims(state: &Path) -> io::Result<()> {
    /// The kernel ends a killed process in milliseconds; the limit is for one stuck in it.
    const ATTEMPTS: u32 = 200;
    let recorded = identities(state);
    let shims: Vec<i32> = shim_processes()
        .into_iter()
        .filter(|&pid| recorded.contains(&identity(pid)))
        .collect();
    for &shim in &shims {
        for child in children(shim) {
            process::kill(child, nix::libc::SIGKILL)?;
        }
        process::kill(shim, nix::libc::SIGKILL)?;
    }
    for _ in 0..ATTEMPTS {
        if shims
            .iter()
            .all(|&shim| process::start_time(shim).is_none())
        {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn identities(state: &Path) -> HashSet<String> {
    let dirs = std::fs::read_dir(state.join("sandboxes"))
        .into_iter()
        .flatten()
        .flatten();
    dirs.filter_map(|entry| std::fs::read_to_string(entry.path().join(IDENTITY)).ok())
        .collect()
}

fn shim_processes() -> Vec<i32> {
    let pids = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    pids.filter(|pid| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == ARGV0)
    })
    .collect()
}

fn children(pid: i32) -> Vec<i32> {
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_ascii_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}
