//! The device nodes of a container, and the devices that it may use.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use k3s_cri::v1::{ContainerConfig, Device};
use k3s_sys::cgroup::{DeviceKind, DeviceRule};
use serde_json::{Value, json};

use super::security;
use crate::error::{Context, Error, Result};

/// A node of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    kind: DeviceKind,
    major: u32,
    minor: u32,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// `linux.devices` beyond the ones every container has.
pub(super) fn nodes(config: &ContainerConfig, privileged: bool) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    if privileged {
        for path in host_devices(Path::new("/dev")) {
            if let Some(node) = node(&path).context(|| format!("look at {}", path.display()))? {
                out.push(to_json(&path.to_string_lossy(), &node));
            }
        }
    }
    for device in &config.devices {
        for (path, node) in requested(device)? {
            out.retain(|other| other.get("path").and_then(Value::as_str) != Some(&path));
            out.push(to_json(&path, &node));
        }
    }
    Ok(out)
}

/// The devices that the control group allows (runc's and containerd's list).
pub(crate) fn rules(config: &ContainerConfig) -> Result<Vec<DeviceRule>> {
    if security(config).privileged {
        return Ok(vec![DeviceRule::allow_all(DeviceKind::Any, "rwm")]);
    }
    let mut rules = vec![
        DeviceRule::allow_all(DeviceKind::Char, "m"),
        DeviceRule::allow_all(DeviceKind::Block, "m"),
    ];
    // null, zero, full, random, urandom, tty, console, ptmx, and pseudo-terminals.
    for (major, minor) in [
        (1, 3),
        (1, 5),
        (1, 7),
        (1, 8),
        (1, 9),
        (5, 0),
        (5, 1),
        (5, 2),
    ] {
        rules.push(DeviceRule::allow(DeviceKind::Char, major, minor, "rwm"));
    }
    rules.push(DeviceRule {
        kind: DeviceKind::Char,
        major: Some(136),
        minor: None,
        access: "rwm".into(),
    });
    for device in &config.devices {
        let access = if device.permissions.is_empty() {
            "rwm"
        } else {
            device.permissions.as_str()
        };
        if access.bytes().any(|letter| !b"rwm".contains(&letter)) {
            return Err(Error::Invalid(format!("device permissions {access:?}")));
        }
        rules.extend(
            requested(device)?
                .into_iter()
                .map(|(_, node)| DeviceRule::allow(node.kind, node.major, node.minor, access)),
        );
    }
    Ok(rules)
}

/// One device, or all below a directory.
fn requested(device: &Device) -> Result<Vec<(String, Node)>> {
    let host = std::fs::canonicalize(&device.host_path)
        .context(|| format!("device {}", device.host_path))?;
    let inside = if device.container_path.is_empty() {
        &device.host_path
    } else {
        &device.container_path
    };
    if !inside.starts_with("/dev/") {
        return Err(Error::Unsupported(format!(
            "a device outside of /dev ({inside})"
        )));
    }
    if host.is_dir() {
        let mut out = Vec::new();
        for path in host_devices(&host) {
            let Some(node) = node(&path).context(|| format!("look at {}", path.display()))? else {
                continue;
            };
            let below = path.strip_prefix(&host).unwrap_or(&path);
            out.push((
                Path::new(inside).join(below).to_string_lossy().into_owned(),
                node,
            ));
        }
        return Ok(out);
    }
    let node = node(&host)
        .context(|| format!("device {}", device.host_path))?
        .ok_or_else(|| Error::Invalid(format!("{} is not a device", device.host_path)))?;
    Ok(vec![(inside.clone(), node)])
}

/// Every device below `dir`, without what a container has of its own.
fn host_devices(dir: &Path) -> Vec<PathBuf> {
    const OWN: [&str; 7] = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"];
    let mut out = Vec::new();
    let mut pending = vec![dir.to_path_buf()];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let (name, Ok(kind)) = (entry.file_name(), entry.file_type()) else {
                continue;
            };
            if kind.is_dir() && !OWN.iter().any(|own| name == *own) {
                pending.push(entry.path());
            } else if (kind.is_char_device() || kind.is_block_device()) && name != "console" {
                out.push(entry.path());
            }
        }
    }
    out.sort();
    out
}

fn node(path: &Path) -> std::io::Result<Option<Node>> {
    let metadata = std::fs::symlink_metadata(path)?;
    let kind = match metadata.file_type() {
        kind if kind.is_char_device() => DeviceKind::Char,
        kind if kind.is_block_device() => DeviceKind::Block,
        _ => return Ok(None),
    };
    let device = metadata.rdev();
    Ok(Some(Node {
        kind,
        major: rustix::fs::major(device),
        minor: rustix::fs::minor(device),
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
    }))
}

fn to_json(path: &str, node: &Node) -> Value {
    let kind = if node.kind == DeviceKind::Block {
        "b"
    } else {
        "c"
    };
    json!({"path": path, "type": kind, "major": node.major, "minor": node.minor, "fileMode": node.mode, "uid": node.uid, "gid": node.gid})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(device: Device) -> ContainerConfig {
        ContainerConfig {
            devices: vec![device],
            ..Default::default()
        }
    }

    #[test]
    fn a_device_is_made_and_allowed() {
        let config = with(Device {
            container_path: "/dev/nothing".into(),
            host_path: "/dev/null".into(),
            permissions: "r".into(),
        });
        let nodes = nodes(&config, false).unwrap();
        assert_eq!(
            (nodes[0]["path"].as_str(), nodes[0]["minor"].as_i64()),
            (Some("/dev/nothing"), Some(3))
        );
        assert!(
            rules(&config)
                .unwrap()
                .contains(&DeviceRule::allow(DeviceKind::Char, 1, 3, "r"))
        );
    }

    #[test]
    fn what_is_no_device_is_refused() {
        assert!(
            rules(&with(Device {
                container_path: "/dev/x".into(),
                host_path: "/etc/passwd".into(),
                ..Default::default()
            }))
            .is_err()
        );
        assert!(
            rules(&with(Device {
                container_path: "/etc/x".into(),
                host_path: "/dev/null".into(),
                ..Default::default()
            }))
            .is_err()
        );
        assert!(
            rules(&with(Device {
                host_path: "/dev/null".into(),
                permissions: "q".into(),
                ..Default::default()
            }))
            .is_err()
        );
    }
}
