//! The mounts of a container: the kernel's file systems, its control group, and the pod's
//! volumes.

use std::path::Path;

use k3s_cri::v1::{LinuxContainerSecurityContext, Mount, MountPropagation};
use k3s_sys::cgroup::{Cgroups, Version};
use serde_json::{Value, json};

use super::Inputs;
use crate::error::{Context, Error, Result};

/// Docker's and containerd's size of `/dev/shm`.
const SHM: &str = "size=65536k";

pub(super) struct Mounts {
    pub(super) list: Vec<Value>,
    /// A volume must propagate back to the host.
    pub(super) shared: bool,
}

pub(super) fn of(inputs: &Inputs<'_>, security: &LinuxContainerSecurityContext) -> Result<Mounts> {
    let mut list = defaults(security.privileged);
    list.extend(cgroup(inputs.cgroup, security.privileged)?);
    let volumes = &inputs.config.mounts;
    list.retain(|mount| {
        !volumes.iter().any(|volume| {
            mount.get("destination").and_then(Value::as_str)
                == Some(volume.container_path.trim_end_matches('/'))
        })
    });
    let mut sorted: Vec<&Mount> = volumes.iter().collect();
    // A volume below another must be mounted after it.
    sorted.sort_by_key(|mount| Path::new(&mount.container_path).components().count());
    for volume in &sorted {
        list.push(bind(volume)?);
    }
    let shared = volumes
        .iter()
        .any(|volume| volume.propagation == MountPropagation::PropagationBidirectional as i32);
    Ok(Mounts { list, shared })
}

fn entry(destination: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({"destination": destination, "type": kind, "source": source, "options": options})
}

/// Destination, file system, source and options of what every container has
/// (`oci.defaultMounts` of containerd).
const DEFAULTS: [(&str, &str, &str, &[&str]); 5] = [
    ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
    (
        "/dev",
        "tmpfs",
        "tmpfs",
        &["nosuid", "strictatime", "mode=755", "size=65536k"],
    ),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        &[
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ],
    ),
    (
        "/dev/shm",
        "tmpfs",
        "shm",
        &["nosuid", "noexec", "nodev", "mode=1777", SHM],
    ),
    (
        "/dev/mqueue",
        "mqueue",
        "mqueue",
        &["nosuid", "noexec", "nodev"],
    ),
];

fn defaults(privileged: bool) -> Vec<Value> {
    let mut list: Vec<Value> = DEFAULTS
        .iter()
        .map(|(destination, kind, source, options)| entry(destination, kind, source, options))
        .collect();
    let access = if privileged { "rw" } else { "ro" };
    let options = ["nosuid", "noexec", "nodev", access];
    list.push(entry("/sys", "sysfs", "sysfs", &options));
    list
}

/// The container's own control group, by bind mounts: mounting the hierarchies again would let the
/// container's root write them, and raise its own limits.
fn cgroup(path: &str, privileged: bool) -> Result<Vec<Value>> {
    let cgroups = Cgroups::detect().context(|| "find the cgroup hierarchies".into())?;
    let group = cgroups.group(path);
    let access = if privileged { "rw" } else { "ro" };
    let options = ["rbind", "nosuid", "noexec", "nodev", access];
    if cgroups.version() == Version::V2 {
        return Ok(group
            .dir("")
            .map(|dir| entry("/sys/fs/cgroup", "bind", &dir.to_string_lossy(), &options))
            .into_iter()
            .collect());
    }
    let mut list = vec![entry(
        "/sys/fs/cgroup",
        "tmpfs",
        "tmpfs",
        &["nosuid", "noexec", "nodev", "mode=755"],
    )];
    list.extend(group.dirs().map(|(controller, dir)| {
        entry(
            &format!("/sys/fs/cgroup/{controller}"),
            "bind",
            &dir.to_string_lossy(),
            &options,
        )
    }));
    Ok(list)
}

fn bind(mount: &Mount) -> Result<Value> {
    if mount.host_path.is_empty() || !mount.container_path.starts_with('/') {
        return Err(Error::Invalid(format!(
            "mount of {:?} at {:?}",
            mount.host_path, mount.container_path
        )));
    }
    // containerd creates a missing source, and so did Docker before.
    if !Path::new(&mount.host_path).exists() {
        std::fs::create_dir_all(&mount.host_path)
            .context(|| format!("make the mount source {}", mount.host_path))?;
    }
    let mut options = vec!["rbind"];
    options.push(match MountPropagation::try_from(mount.propagation) {
        Ok(MountPropagation::PropagationPrivate) => "rprivate",
        Ok(MountPropagation::PropagationHostToContainer) => "rslave",
        Ok(MountPropagation::PropagationBidirectional) => {
            require_shared(&mount.host_path)?;
            "rshared"
        }
        Err(_) => {
            return Err(Error::Invalid(format!(
                "unknown mount propagation {}",
                mount.propagation
            )));
        }
    });
    options.push(if mount.readonly { "ro" } else { "rw" });
    if mount.recursive_read_only {
        if !mount.readonly || mount.propagation != MountPropagation::PropagationPrivate as i32 {
            return Err(Error::Invalid(format!(
                "recursive read-only mount at {} must be read-only and private",
                mount.container_path
            )));
        }
        options.push("rro");
    }
    Ok(entry(
        &mount.container_path,
        "bind",
        &mount.host_path,
        &options,
    ))
}

fn require_shared(path: &str) -> Result<()> {
    let canonical = std::fs::canonicalize(path).context(|| format!("resolve {path}"))?;
    let mount = k3s_sys::mount::mount_of(&canonical).context(|| "read the mount table".into())?;
    if mount.is_some_and(|mount| mount.shared) {
        Ok(())
    } else {
        Err(Error::Invalid(format!(
            "path {path} is mounted on something that is not a shared mount"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recursive_read_only_needs_a_private_read_only_mount() {
        let mount = |readonly| Mount {
            host_path: "/".into(),
            container_path: "/x".into(),
            readonly,
            recursive_read_only: true,
            ..Default::default()
        };
        assert!(bind(&mount(false)).is_err());
        assert!(
            bind(&mount(true)).unwrap()["options"]
                .as_array()
                .unwrap()
                .contains(&json!("rro"))
        );
    }

    #[test]
    fn a_container_cannot_write_its_control_group() {
        for mount in cgroup("/x", false)
            .unwrap()
            .iter()
            .filter(|mount| mount["type"] == "bind")
        {
            assert!(mount["options"].as_array().unwrap().contains(&json!("ro")));
        }
    }
}
