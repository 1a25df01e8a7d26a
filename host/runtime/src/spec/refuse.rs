//! What the embedded runtime does not support and therefore refuses.

use k3s_cri::v1::{
    ContainerConfig, PodSandboxConfig, SeLinuxOption, SecurityProfile, UserNamespace,
};

use super::security;
use crate::error::{Error, Result};

/// `Unconfined` of `SecurityProfile.ProfileType`.
const UNCONFINED: i32 = 1;

/// Checks a pod.
pub(crate) fn sandbox(config: &PodSandboxConfig) -> Result<()> {
    let Some(linux) = &config.linux else {
        return Ok(());
    };
    if linux.cgroup_parent.ends_with(".slice") {
        return Err(Error::Unsupported(format!(
            "the systemd cgroup driver (parent {:?})",
            linux.cgroup_parent
        )));
    }
    let Some(security) = &linux.security_context else {
        return Ok(());
    };
    user_namespace(
        security
            .namespace_options
            .as_ref()
            .and_then(|options| options.userns_options.as_ref()),
    )?;
    selinux(security.selinux_options.as_ref())?;
    apparmor(security.apparmor.as_ref())
}

/// Checks a container.
pub(crate) fn container(config: &ContainerConfig, pod: &PodSandboxConfig) -> Result<()> {
    sandbox(pod)?;
    let security = security(config);
    user_namespace(
        security
            .namespace_options
            .as_ref()
            .and_then(|options| options.userns_options.as_ref()),
    )?;
    selinux(security.selinux_options.as_ref())?;
    apparmor(security.apparmor.as_ref())?;
    #[allow(deprecated, reason = "an old client may still set it")]
    if !matches!(security.apparmor_profile.as_str(), "" | "unconfined") {
        return Err(Error::Unsupported("an AppArmor profile".into()));
    }
    if !config.cdi_devices.is_empty() {
        return Err(Error::Unsupported("a CDI device".into()));
    }
    if security
        .capabilities
        .as_ref()
        .is_some_and(|capabilities| !capabilities.add_ambient_capabilities.is_empty())
    {
        return Err(Error::Unsupported("an ambient capability".into()));
    }
    for mount in &config.mounts {
        if mount
            .image
            .as_ref()
            .is_some_and(|image| !image.image.is_empty())
        {
            return Err(Error::Unsupported(format!(
                "the image volume at {}",
                mount.container_path
            )));
        }
        if !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty() {
            return Err(Error::Unsupported(format!(
                "the ID-mapped mount at {}",
                mount.container_path
            )));
        }
    }
    Ok(())
}

fn user_namespace(options: Option<&UserNamespace>) -> Result<()> {
    // NODE (2) is the host's own; POD (0) asks for one, and then says how to map.
    let asked =
        options.is_some_and(|options| options.mode != k3s_cri::v1::NamespaceMode::Node as i32);
    if asked {
        Err(Error::Unsupported(
            "a user namespace (hostUsers: false)".into(),
        ))
    } else {
        Ok(())
    }
}

fn selinux(options: Option<&SeLinuxOption>) -> Result<()> {
    let asked = options.is_some_and(|options| {
        [
            &options.user,
            &options.role,
            &options.r#type,
            &options.level,
        ]
        .iter()
        .any(|part| !part.is_empty())
    });
    if asked {
        Err(Error::Unsupported("an SELinux label".into()))
    } else {
        Ok(())
    }
}

fn apparmor(profile: Option<&SecurityProfile>) -> Result<()> {
    match profile {
        Some(profile) if profile.profile_type != UNCONFINED => {
            Err(Error::Unsupported("an AppArmor profile".into()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k3s_cri::v1::{LinuxContainerConfig, LinuxContainerSecurityContext};

    #[test]
    fn what_would_weaken_a_pod_is_refused() {
        let of = |security| {
            let linux = Some(LinuxContainerConfig {
                resources: None,
                security_context: Some(security),
            });
            container(
                &ContainerConfig {
                    linux,
                    ..Default::default()
                },
                &PodSandboxConfig::default(),
            )
        };
        assert!(of(LinuxContainerSecurityContext::default()).is_ok());
        let label = SeLinuxOption {
            r#type: "spc_t".into(),
            ..Default::default()
        };
        assert!(
            of(LinuxContainerSecurityContext {
                selinux_options: Some(label),
                ..Default::default()
            })
            .is_err()
        );
        let profile = SecurityProfile {
            profile_type: 2,
            localhost_ref: "x".into(),
        };
        assert!(
            of(LinuxContainerSecurityContext {
                apparmor: Some(profile),
                ..Default::default()
            })
            .is_err()
        );
        let unconfined = SecurityProfile {
            profile_type: UNCONFINED,
            ..Default::default()
        };
        assert!(
            of(LinuxContainerSecurityContext {
                apparmor: Some(unconfined),
                ..Default::default()
            })
            .is_ok()
        );
    }
}
