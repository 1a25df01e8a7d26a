//! Where a container's volumes may be mounted: not on its root, and not on what the kernel shows in
//! `/proc` (runc's `checkProcMount`, the ground of CVE-2019-16884 and CVE-2023-28642). libcontainer checks
//! this only for file systems of the kernel.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use libcontainer::oci_spec::runtime::Spec;
use rustix::fs::{PROC_SUPER_MAGIC, statfs};

use super::error::ShimError;

/// Files that lxcfs and criu emulate; runc's list.
const EMULATED: [&str; 11] = [
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
    "net/dev",
    "slabinfo",
    "stat",
    "swaps",
    "sys/crypto/fips_enabled",
    "sys/kernel/ns_last_pid",
    "uptime",
];
/// As many links as the kernel follows in one path.
const LINKS_LIMIT: usize = 40;

/// Refuses a mount whose target, with links of the image and of volumes followed, may not be covered.
pub(super) fn check(rootfs: &Path, spec: &Spec) -> Result<(), ShimError> {
    let mut volumes: Vec<(PathBuf, &Path)> = Vec::new();
    for mount in spec.mounts().iter().flatten() {
        let Some(source) = mount.source().as_deref() else {
            continue;
        };
        if mount.typ().as_deref() != Some("bind") {
            continue;
        }
        let on_host = |inside: &Path| {
            // What was mounted last lies on top.
            let mut covering = volumes.iter().rev();
            covering
                .find_map(|(at, source)| Some(source.join(inside.strip_prefix(at).ok()?)))
                .unwrap_or_else(|| rootfs.join(inside))
        };
        let refused = |why| ShimError::Target {
            target: mount.destination().clone(),
            why,
        };
        let read_link = |inside: &Path| std::fs::read_link(on_host(inside)).ok();
        let target = resolve(mount.destination(), read_link)
            .ok_or_else(|| refused("is behind too many links"))?;
        if let Some(why) = objection(&target, source) {
            return Err(refused(why));
        }
        volumes.push((target, source));
    }
    Ok(())
}

/// Why nothing of `source` may be mounted at `target`, a path relative to the root.
fn objection(target: &Path, source: &Path) -> Option<&'static str> {
    if target.as_os_str().is_empty() {
        return Some("is the container's root");
    }
    let below = target.strip_prefix("proc").ok()?;
    if below.as_os_str().is_empty() {
        let is_proc = statfs(source).is_ok_and(|it| it.f_type == PROC_SUPER_MAGIC);
        return (!is_proc).then_some("takes the place of /proc");
    }
    let is_emulated = EMULATED.iter().any(|name| below == Path::new(name));
    (!is_emulated).then_some("is inside /proc")
}

/// Where a path leads when links are followed inside the root; relative to the root, without links. Parts
/// that do not exist are kept. None for too many links.
fn resolve(path: &Path, read_link: impl Fn(&Path) -> Option<PathBuf>) -> Option<PathBuf> {
    let mut left: VecDeque<OsString> = parts(path).collect();
    let mut at = PathBuf::new();
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        at.push(part);
        let Some(target) = read_link(&at) else {
            continue;
        };
        links += 1;
        if links > LINKS_LIMIT {
            return None;
        }
        if target.is_absolute() {
            at.clear();
        } else {
            at.pop();
        }
        for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
            left.push_front(part);
        }
    }
    Some(at)
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use serde_json::json;

    use super::*;

    fn check_in(rootfs: &Path, mounts: &[(&str, &str)]) -> Result<(), ShimError> {
        let mounts: Vec<_> = mounts
            .iter()
            .map(|(source, destination)| {
                json!({"destination": destination, "type": "bind", "source": source})
            })
            .collect();
        let document = json!({"ociVersion": "1.0.2", "mounts": mounts});
        check(rootfs, &serde_json::from_value(document).unwrap())
    }

    #[test]
    fn nothing_is_mounted_over_the_root_or_inside_proc() {
        let rootfs = tempfile::tempdir().unwrap();
        let volume = tempfile::tempdir().unwrap();
        let root = rootfs.path();
        symlink("/proc/1", root.join("innocent")).unwrap();
        symlink("../proc", root.join("up")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("/proc/sys", volume.path().join("evil")).unwrap();
        let source = volume.path().to_str().unwrap();
        for target in [
            "/",
            "/x/..",
            "/proc",
            "/proc/",
            "/proc/1/attr",
            "/proc/sys/kernel",
            "/proc/self/fd",
            "/proc/net",
            "/tmp/../proc/tty",
            "/innocent/attr",
            "/up",
            "/up/tty",
            "/loop",
        ] {
            let error = check_in(root, &[(source, target)]).unwrap_err();
            assert!(error.to_string().contains(target), "{error}");
        }
        // Through a link in a volume that is mounted before.
        assert!(check_in(root, &[(source, "/data"), (source, "/data/evil/kernel")]).is_err());
        for target in [
            "/procs",
            "/data",
            "/data/proc/1",
            "/proc/cpuinfo",
            "/proc/net/dev",
        ] {
            check_in(root, &[(source, target)]).unwrap();
        }
        check_in(root, &[("/proc", "/proc")]).unwrap();
    }
}
