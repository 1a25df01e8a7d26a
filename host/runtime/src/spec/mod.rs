//! From a CRI container configuration to an OCI runtime specification.
//!
//! Only decisions, no side effects beyond reading what the host has (devices, capabilities). The
//! defaults are those of containerd's CRI plugin (`internal/cri/server/container_create.go` and
//! `internal/cri/opts`). Resources are not part of the specification: the shim applies them to the
//! control group itself, since libcontainer cannot restrict devices under cgroup v2.

pub(crate) mod capabilities;
pub(crate) mod devices;
mod mounts;
mod process;
pub(crate) mod refuse;
pub(crate) mod resources;
pub(crate) mod seccomp;
mod syscalls;

use std::path::Path;

use k3s_cri::v1::{
    ContainerConfig, LinuxContainerSecurityContext, NamespaceMode, PodSandboxConfig,
};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::image::model::RunConfig;

pub(crate) use process::user_request;

/// Where a container's namespaces are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Namespaces {
    /// The shim, which is in the pod's network, IPC and UTS namespaces.
    pub(crate) shim: i32,
    /// The first process of the namespace the PIDs are in, unless it is a new one or the host's.
    pub(crate) pid_of: Option<i32>,
    /// The host's own process numbers.
    pub(crate) host_pid: bool,
    /// The host's network (and host name).
    pub(crate) host_network: bool,
    pub(crate) host_ipc: bool,
}

/// The inputs of a specification.
pub(crate) struct Inputs<'a> {
    pub(crate) config: &'a ContainerConfig,
    pub(crate) sandbox: &'a PodSandboxConfig,
    pub(crate) image: &'a RunConfig,
    pub(crate) namespaces: Namespaces,
    pub(crate) rootfs: &'a Path,
    pub(crate) cgroup: &'a str,
}

/// The security context, or its defaults.
pub(crate) fn security(config: &ContainerConfig) -> LinuxContainerSecurityContext {
    config
        .linux
        .as_ref()
        .and_then(|linux| linux.security_context.clone())
        .unwrap_or_default()
}

/// The specification without the user, which the shim fills in.
pub(crate) fn build(inputs: &Inputs<'_>) -> Result<Value> {
    refuse::container(inputs.config, inputs.sandbox)?;
    let security = security(inputs.config);
    let capabilities = capabilities::of(&security)?;
    let mut linux = json!({
        "cgroupsPath": inputs.cgroup,
        "namespaces": namespaces(&inputs.namespaces),
        "maskedPaths": if security.privileged { Vec::new() } else { security.masked_paths.clone() },
        "readonlyPaths": if security.privileged { Vec::new() } else { security.readonly_paths.clone() },
        "devices": devices::nodes(inputs.config, security.privileged)?,
    });
    if let Some(seccomp) = seccomp::of(&security, &capabilities)? {
        insert(&mut linux, "seccomp", seccomp);
    }
    let mounts = mounts::of(inputs, &security)?;
    if mounts.shared {
        insert(&mut linux, "rootfsPropagation", json!("shared"));
    }
    Ok(json!({
        "ociVersion": "1.0.2",
        "root": {"path": inputs.rootfs, "readonly": security.readonly_rootfs},
        "process": process::of(inputs, &security, &capabilities)?,
        "mounts": mounts.list,
        "linux": linux,
    }))
}

pub(crate) fn insert(object: &mut Value, key: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}

fn namespaces(namespaces: &Namespaces) -> Vec<Value> {
    let of_shim = |kind: &str, file: &str| json!({"type": kind, "path": format!("/proc/{}/ns/{file}", namespaces.shim)});
    let mut out = vec![json!({"type": "mount"}), json!({"type": "cgroup"})];
    match namespaces.pid_of {
        Some(pid) => out.push(json!({"type": "pid", "path": format!("/proc/{pid}/ns/pid")})),
        None if namespaces.host_pid => {}
        None => out.push(json!({"type": "pid"})),
    }
    if !namespaces.host_ipc {
        out.push(of_shim("ipc", "ipc"));
    }
    if !namespaces.host_network {
        out.extend([of_shim("network", "net"), of_shim("uts", "uts")]);
    }
    out
}

/// A namespace mode as the protocol's number says.
pub(crate) fn mode(number: i32) -> Result<NamespaceMode> {
    NamespaceMode::try_from(number)
        .map_err(|_| Error::Invalid(format!("unknown namespace mode {number}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k3s_cri::v1::{Capability, LinuxContainerConfig, Mount, SecurityProfile};

    fn inputs<'a>(
        config: &'a ContainerConfig,
        sandbox: &'a PodSandboxConfig,
        image: &'a RunConfig,
    ) -> Inputs<'a> {
        let namespaces = Namespaces {
            shim: 77,
            pid_of: None,
            host_pid: false,
            host_network: false,
            host_ipc: false,
        };
        Inputs {
            config,
            sandbox,
            image,
            namespaces,
            rootfs: Path::new("/rootfs"),
            cgroup: "/pod/c",
        }
    }

    fn with_security(security: LinuxContainerSecurityContext) -> ContainerConfig {
        let linux = Some(LinuxContainerConfig {
            resources: None,
            security_context: Some(security),
        });
        ContainerConfig {
            command: vec!["sh".into()],
            linux,
            ..Default::default()
        }
    }

    #[test]
    fn the_pod_shares_what_the_shim_lives_in() {
        let (config, sandbox, image) = (
            with_security(Default::default()),
            PodSandboxConfig::default(),
            RunConfig::default(),
        );
        let spec = build(&inputs(&config, &sandbox, &image)).unwrap();
        let namespaces = serde_json::to_string(&spec["linux"]["namespaces"]).unwrap();
        for path in ["/proc/77/ns/ipc", "/proc/77/ns/net", "/proc/77/ns/uts"] {
            assert!(namespaces.contains(path));
        }
        assert_eq!(spec["process"]["noNewPrivileges"], Value::Null);
        assert!(spec["linux"]["seccomp"].is_null());
        assert!(spec["linux"]["resources"].is_null());
    }

    #[test]
    fn privileged_gets_all_and_no_filter() {
        let security = LinuxContainerSecurityContext {
            privileged: true,
            seccomp: Some(SecurityProfile::default()),
            masked_paths: vec!["/proc/kcore".into()],
            ..Default::default()
        };
        let (config, sandbox, image) = (
            with_security(security),
            PodSandboxConfig::default(),
            RunConfig::default(),
        );
        let spec = build(&inputs(&config, &sandbox, &image)).unwrap();
        assert!(spec["linux"]["seccomp"].is_null());
        assert!(spec["linux"]["maskedPaths"].as_array().unwrap().is_empty());
        assert!(
            spec["process"]["capabilities"]["bounding"]
                .as_array()
                .unwrap()
                .iter()
                .any(|capability| capability == "CAP_SYS_ADMIN")
        );
    }

    #[test]
    fn a_filter_follows_the_capabilities() {
        let profile = Some(SecurityProfile::default());
        let plain = LinuxContainerSecurityContext {
            seccomp: profile.clone(),
            ..Default::default()
        };
        let admin = LinuxContainerSecurityContext {
            seccomp: profile,
            capabilities: Some(Capability {
                add_capabilities: vec!["SYS_ADMIN".into()],
                ..Default::default()
            }),
            ..Default::default()
        };
        let allows_mount = |security| {
            let (config, sandbox, image) = (
                with_security(security),
                PodSandboxConfig::default(),
                RunConfig::default(),
            );
            serde_json::to_string(
                &build(&inputs(&config, &sandbox, &image)).unwrap()["linux"]["seccomp"],
            )
            .unwrap()
            .contains("\"mount\"")
        };
        assert!(!allows_mount(plain));
        assert!(allows_mount(admin));
    }

    #[test]
    fn mounts_over_the_defaults_replace_them() {
        let mut config = with_security(Default::default());
        config.mounts = vec![Mount {
            container_path: "/dev/shm".into(),
            host_path: "/tmp".into(),
            readonly: true,
            ..Default::default()
        }];
        let (sandbox, image) = (PodSandboxConfig::default(), RunConfig::default());
        let spec = build(&inputs(&config, &sandbox, &image)).unwrap();
        let shm: Vec<_> = spec["mounts"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|mount| mount["destination"] == "/dev/shm")
            .collect();
        assert_eq!(shm.len(), 1);
        assert!(shm[0]["options"].as_array().unwrap().contains(&json!("ro")));
    }
}
