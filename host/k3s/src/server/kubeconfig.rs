//! The administrator's kubeconfig, with the owner and mode asked for.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result};
use k3s_config::ServerSettings;
use k3s_pki::ServerIdentity;
use nix::unistd::Group;
use tracing::info;

/// Writes `--write-kubeconfig`.
pub(crate) fn write(
    settings: &ServerSettings,
    identity: &ServerIdentity,
    server_url: &str,
) -> Result<()> {
    let path = settings.kubeconfig.as_path();
    let describe = || format!("write kubeconfig {}", path.display());
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(describe)?;
    }
    identity
        .write_admin_kubeconfig(path, server_url)
        .with_context(describe)?;
    if let Some(name) = &settings.kubeconfig_group {
        chown(path, None, Some(group_id(name)?)).with_context(describe)?;
    }
    std::fs::set_permissions(
        path,
        std::fs::Permissions::from_mode(settings.kubeconfig_mode),
    )
    .with_context(describe)?;
    info!(path = %path.display(), "wrote kubeconfig");
    Ok(())
}

/// A group by name or number.
fn group_id(name: &str) -> Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let group = Group::from_name(name).with_context(|| format!("look up group {name}"))?;
    Ok(group
        .with_context(|| format!("--write-kubeconfig-group: no group {name:?}"))?
        .gid
        .as_raw())
}

/// The server's URL in kubeconfigs: loopback unless the server listens on one address only.
pub(crate) fn server_url(settings: &ServerSettings) -> String {
    let host = if settings.bind_address.is_unspecified() {
        "127.0.0.1".to_owned()
    } else {
        settings.bind_address.to_string()
    };
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    format!("https://{host}:{}", settings.https_port)
}

/// Refuses a path that cannot be written, before the cluster is half started.
pub(crate) fn check(path: &Path) -> Result<()> {
    match path.parent() {
        Some(parent) => std::fs::create_dir_all(parent)
            .with_context(|| format!("make folder {}", parent.display())),
        None => anyhow::bail!("--write-kubeconfig: {} is not a file path", path.display()),
    }
}
