//! The mounts of a container: its volumes (with `subPath` resolved safely), `/etc/hosts`,
//! `/etc/hostname`, `/etc/resolv.conf` and the termination message file.

use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use k3s_cri::v1::{Mount, MountPropagation};
use k3s_sys::volume as sys;
use k8s_openapi::api::core::v1::VolumeMount;

use super::context::ContainerContext;
use super::error::ConfigError;
use super::expand::expand_strict;
use super::request::{ContainerRequest, message_file, message_path};
use super::{dns, hosts};
use crate::model;

const HOSTS: &str = "etc-hosts";
const HOSTNAME: &str = "etc-hostname";
const RESOLVER: &str = "etc-resolv.conf";
/// Files in the pod's directory that its containers share and may write.
pub(crate) const MANAGED_FILES: [&str; 3] = [HOSTS, HOSTNAME, RESOLVER];

/// All mounts of the container.
pub(crate) fn container_mounts(
    ctx: &ContainerContext,
    request: &ContainerRequest<'_>,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Mount>, ConfigError> {
    let mut mounts = Vec::new();
    for (index, mount) in request.container.volume_mounts.iter().flatten().enumerate() {
        mounts.push(volume_mount(ctx, request, mount, index, &lookup)?);
    }
    let taken = |path: &str| {
        request
            .container
            .volume_mounts
            .iter()
            .flatten()
            .any(|m| m.mount_path == path)
    };
    if !taken("/etc/hosts") {
        mounts.push(plain("/etc/hosts", &hosts_file(ctx, request)?, false));
    }
    // Runtimes make these files from the sandbox's configuration too, but not all of them do; a mount
    // of ours takes precedence in those that do.
    if !taken("/etc/hostname") {
        let context = request.container.security_context.as_ref();
        let readonly = context.and_then(|context| context.read_only_root_filesystem);
        let file = hostname_file(ctx, request)?;
        mounts.push(plain("/etc/hostname", &file, readonly == Some(true)));
    }
    if !taken("/etc/resolv.conf") {
        mounts.push(plain(
            "/etc/resolv.conf",
            &resolver_file(ctx, request)?,
            false,
        ));
    }
    let message = message_path(request.container);
    if !taken(message) {
        mounts.push(plain(message, &message_log(ctx, request)?, false));
    }
    Ok(mounts)
}

fn plain(container_path: &str, host_path: &Path, readonly: bool) -> Mount {
    Mount {
        container_path: container_path.to_owned(),
        host_path: host_path.to_string_lossy().into_owned(),
        readonly,
        ..Mount::default()
    }
}

fn volume_mount(
    ctx: &ContainerContext,
    request: &ContainerRequest<'_>,
    mount: &VolumeMount,
    index: usize,
    lookup: &impl Fn(&str) -> Option<String>,
) -> Result<Mount, ConfigError> {
    let Some(volume) = request.volumes.get(&mount.name) else {
        return Err(ConfigError::UnknownVolume {
            volume: mount.name.clone(),
            mount_path: mount.mount_path.clone(),
        });
    };
    let sub_path = match (mount.sub_path_expr.as_deref(), mount.sub_path.as_deref()) {
        (Some(expr), _) if !expr.is_empty() => expand_strict(expr, lookup)?,
        (_, Some(path)) => path.to_owned(),
        _ => String::new(),
    };
    let host_path = if sub_path.is_empty() {
        volume.path.clone()
    } else {
        bind_sub_path(ctx, request, mount, index, &volume.path, &sub_path)?
    };
    let read_only = mount.read_only.unwrap_or(false) || volume.read_only;
    let recursive = matches!(
        mount.recursive_read_only.as_deref(),
        Some("Enabled" | "IfPossible")
    );
    let is_supported = ctx.node.features().recursive_read_only;
    let propagation = propagation(mount.mount_propagation.as_deref());
    Ok(Mount {
        propagation: propagation as i32,
        recursive_read_only: read_only && recursive && is_supported,
        ..plain(&mount.mount_path, &host_path, read_only)
    })
}

fn propagation(mode: Option<&str>) -> MountPropagation {
    match mode {
        Some("HostToContainer") => MountPropagation::PropagationHostToContainer,
        Some("Bidirectional") => MountPropagation::PropagationBidirectional,
        _ => MountPropagation::PropagationPrivate,
    }
}

/// Opens the sub path without leaving the volume and binds what was opened to a place of the
/// node's own, so that a symlink swapped in later changes nothing.
fn bind_sub_path(
    ctx: &ContainerContext,
    request: &ContainerRequest<'_>,
    mount: &VolumeMount,
    index: usize,
    volume: &Path,
    sub_path: &str,
) -> Result<PathBuf, ConfigError> {
    let relative = Path::new(sub_path);
    if !relative
        .components()
        .all(|c| matches!(c, Component::Normal(_) | Component::CurDir))
    {
        return Err(ConfigError::SubPathEscapes(sub_path.to_owned()));
    }
    let failed = |source: std::io::Error| ConfigError::SubPath {
        mount: mount.name.clone(),
        container: request.container.name.clone(),
        source,
    };
    let target = ctx
        .config
        .pod_dir(model::uid(request.pod))
        .join("volume-subpaths")
        .join(&mount.name)
        .join(&request.container.name)
        .join(index.to_string());
    bind_beneath(volume, relative, &target).map_err(failed)?;
    Ok(target)
}

/// Binds what lies at `relative` in the volume to `target`, making a directory where nothing does.
fn bind_beneath(volume: &Path, relative: &Path, target: &Path) -> std::io::Result<()> {
    let source = match sys::open_beneath(volume, relative) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            sys::create_beneath(volume, relative, 0o750)?
        }
        other => other?,
    };
    // What a restarted container had mounted may have been replaced since.
    k3s_sys::mount::detach(target)?;
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent)?;
    }
    if sys::is_directory(&source)? {
        std::fs::create_dir_all(target)?;
    } else {
        let mut options = std::fs::OpenOptions::new();
        options.create(true).append(true).open(target)?;
    }
    sys::bind_descriptor(&source, target)
}

fn hosts_file(
    ctx: &ContainerContext,
    request: &ContainerRequest<'_>,
) -> Result<PathBuf, ConfigError> {
    let spec = request.pod.spec.as_ref();
    let path = ctx.config.pod_dir(model::uid(request.pod)).join(HOSTS);
    let aliases = spec.and_then(|s| s.host_aliases.as_deref());
    let aliases = aliases.unwrap_or_default();
    let text = if model::host_network(request.pod) {
        let node_file = read_file(Path::new("/etc/hosts"))?;
        hosts::from_node(&node_file, aliases)
    } else {
        let cluster_domain = &ctx.config.cluster_domain;
        let (host, domain) = hosts::hostname(request.pod, cluster_domain)?;
        hosts::managed(&request.node.pod_ips, &host, &domain, aliases)
    };
    // Written in place: running containers of the pod have this very file mounted.
    write_in_place(path, text.as_bytes(), 0o644)
}

/// The name that the kernel knows in the pod: its own, or the node's.
fn hostname_file(
    ctx: &ContainerContext,
    request: &ContainerRequest<'_>,
) -> Result<PathBuf, ConfigError> {
    let name = if model::host_network(request.pod) {
        read_file(Path::new("/proc/sys/kernel/hostname"))?
    } else {
        let (name, _) = hosts::hostname(request.pod, &ctx.config.cluster_domain)?;
        format!("{name}\n")
    };
    let dir = ctx.config.pod_dir(model::uid(request.pod));
    write_in_place(dir.join(HOSTNAME), name.as_bytes(), 0o644)
}

fn resolver_file(
    ctx: &ContainerContext,
    request: &ContainerRequest<'_>,
) -> Result<PathBuf, ConfigError> {
    let host = read_file(&ctx.config.resolv_conf)?;
    let text = dns::file(&dns::pod_dns(&ctx.config, request.pod, dns::parse(&host)));
    let path = ctx.config.pod_dir(model::uid(request.pod)).join(RESOLVER);
    write_in_place(path, text.as_bytes(), 0o644)
}

fn message_log(
    ctx: &ContainerContext,
    request: &ContainerRequest<'_>,
) -> Result<PathBuf, ConfigError> {
    let path = message_file(
        &ctx.config,
        model::uid(request.pod),
        &request.container.name,
        request.attempt,
    );
    // Any user of the container may write it.
    write_in_place(path, b"", 0o666)
}

/// Reads a file of the node's own.
pub(crate) fn read_file(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::ReadFile {
        path: path.to_owned(),
        source,
    })
}

/// Brings the file to `content` without replacing it; returns its path.
fn write_in_place(path: PathBuf, content: &[u8], mode: u32) -> Result<PathBuf, ConfigError> {
    match try_write_in_place(&path, content, mode) {
        Ok(()) => Ok(path),
        Err(source) => Err(ConfigError::WriteFile { path, source }),
    }
}

fn try_write_in_place(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    if std::fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    std::fs::write(path, content)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}
