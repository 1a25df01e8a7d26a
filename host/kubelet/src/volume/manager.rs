//! Makes the directories behind volumes and removes them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k3s_client::Client;
use k3s_sys::{mount, volume as sys};
use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod, Volume};

use super::atomic::{self, Payload};
use super::claim::{self, Claimed};
use super::context::{Mounted, Ready, VolumeContext};
use super::error::{MountError, VolumeError};
use super::token::Tokens;
use super::{hostpath, payload};
use crate::api::ApiReader;
use crate::config::KubeletConfig;
use crate::container::fields::NodeContext;
use crate::{model, qos};

/// See the module.
pub(crate) struct VolumeManager {
    pub(super) context: VolumeContext,
}

impl VolumeManager {
    pub(crate) fn new(config: Arc<KubeletConfig>, api: Arc<ApiReader>, client: Client) -> Self {
        let tokens = Tokens::new(client.clone(), config.clock.clone());
        let context = VolumeContext {
            tokens,
            config,
            api,
            client,
        };
        Self { context }
    }

    /// Makes or refreshes all volumes of the pod.
    pub(super) async fn mount_all(
        &self,
        pod: &Pod,
        node: &NodeContext,
    ) -> Result<Mounted, VolumeError> {
        let mut mounted = Mounted::new();
        let spec = pod.spec.iter();
        let volumes = spec.flat_map(|spec| spec.volumes.iter().flatten());
        for volume in volumes {
            let ready = self.mount_one(pod, volume, node).await;
            let ready = ready.map_err(|source| VolumeError {
                volume: volume.name.clone(),
                source,
            })?;
            mounted.insert(volume.name.clone(), ready);
        }
        Ok(mounted)
    }

    async fn mount_one(
        &self,
        pod: &Pod,
        volume: &Volume,
        node: &NodeContext,
    ) -> Result<Ready, MountError> {
        let payload = payload::payload(&self.context, pod, volume, node).await?;
        if let Some(payload) = payload {
            return self.write_payload(pod, volume, &payload);
        }
        if let Some(source) = &volume.empty_dir {
            return self.empty_dir(pod, volume, source);
        }
        if let Some(source) = &volume.host_path {
            let path = PathBuf::from(&source.path);
            let kind = source.type_.as_deref();
            hostpath::prepare(&path, kind.unwrap_or_default())?;
            return Ok(Ready {
                path,
                read_only: false,
            });
        }
        let claimed = claim::resolve(&self.context, pod, volume).await?;
        let Some(Claimed { ready, takes_group }) = claimed else {
            return Err(MountError::UnsupportedKind);
        };
        if takes_group {
            return own_by_group(pod, ready).await;
        }
        Ok(ready)
    }

    fn write_payload(
        &self,
        pod: &Pod,
        volume: &Volume,
        payload: &Payload,
    ) -> Result<Ready, MountError> {
        let dir = self.directory(pod, payload_kind(volume), &volume.name);
        let now = self.context.config.clock.now();
        let stamp = now.strftime("%Y_%m_%d_%H_%M_%S.%9f").to_string();
        // Secrets and tokens stay in memory, as upstream keeps them.
        let in_memory =
            volume.secret.is_some() || volume.projected.is_some() || volume.downward_api.is_some();
        prepare_dir(&dir, in_memory, None, 0o1777)?;
        atomic::write(&dir, payload, &stamp).map_err(MountError::Write)?;
        Ok(Ready {
            path: dir,
            read_only: true,
        })
    }

    fn empty_dir(
        &self,
        pod: &Pod,
        volume: &Volume,
        source: &EmptyDirVolumeSource,
    ) -> Result<Ready, MountError> {
        let dir = self.directory(pod, "empty-dir", &volume.name);
        let fresh = !dir.exists();
        match source.medium.as_deref().unwrap_or_default() {
            "" => prepare_dir(&dir, false, None, 0o777)?,
            "Memory" => {
                let own = own_limit(source);
                let limit = own.or_else(|| memory_limit(pod));
                prepare_dir(&dir, true, limit, 0o777)?;
            }
            other => return Err(MountError::UnsupportedMedium(other.to_owned())),
        }
        if fresh {
            own_fresh(pod, &dir)?;
        }
        Ok(Ready {
            path: dir,
            read_only: false,
        })
    }

    fn directory(&self, pod: &Pod, kind: &str, name: &str) -> PathBuf {
        let config = &self.context.config;
        let volumes = config.pod_dir(model::uid(pod)).join("volumes");
        let of_kind = volumes.join(format!("kubernetes.io~{kind}"));
        of_kind.join(name)
    }

    /// Forgets the pod's tokens and removes its volumes; the rest of its directory stays.
    ///
    /// # Errors
    /// When something is still in use or cannot be removed.
    pub(crate) async fn tear_down(&self, uid: &str) -> std::io::Result<()> {
        self.context.tokens.forget(uid);
        let dir = self.context.config.pod_dir(uid);
        let subpaths = dir.join("volume-subpaths");
        let volumes = dir.join("volumes");
        remove_dirs(vec![subpaths, volumes]).await
    }

    /// Removes the pod's directory with everything in it.
    ///
    /// # Errors
    /// As [`VolumeManager::tear_down`].
    pub(crate) async fn remove_pod_dir(&self, uid: &str) -> std::io::Result<()> {
        remove_dirs(vec![self.context.config.pod_dir(uid)]).await
    }
}

fn own_fresh(pod: &Pod, dir: &Path) -> Result<(), MountError> {
    let Some(group) = payload::fs_group(pod) else {
        return Ok(());
    };
    let owned = sys::own_by_group(dir, group, false, false);
    owned.map_err(MountError::OwnByGroup)
}

fn payload_kind(volume: &Volume) -> &'static str {
    match (&volume.config_map, &volume.secret, &volume.downward_api) {
        (Some(_), ..) => "configmap",
        (_, Some(_), _) => "secret",
        (.., Some(_)) => "downward-api",
        _ => "projected",
    }
}

/// The volume's `sizeLimit` in bytes; a limit of zero is none.
fn own_limit(source: &EmptyDirVolumeSource) -> Option<u64> {
    let limit = source.size_limit.as_ref()?;
    let bytes = u64::try_from(qos::whole(limit)).ok()?;
    if bytes == 0 {
        return None;
    }
    Some(bytes)
}

/// A memory volume without a limit of its own may take what the pod may take.
fn memory_limit(pod: &Pod) -> Option<u64> {
    let (_, memory) = qos::pod_limits(pod);
    memory.and_then(|bytes| u64::try_from(bytes).ok())
}

/// Makes the directory with `mode` whatever the umask, with a tmpfs on it where asked for.
fn prepare_dir(
    dir: &Path,
    tmpfs: bool,
    limit_bytes: Option<u64>,
    mode: u32,
) -> Result<(), MountError> {
    let prepare = || {
        let fresh = !dir.exists();
        std::fs::create_dir_all(dir)?;
        if tmpfs && !mount::is_mount_point(dir)? {
            sys::mount_tmpfs(dir, limit_bytes, mode)?;
        }
        if fresh {
            std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode))?;
        }
        Ok(())
    };
    prepare().map_err(|source| MountError::Prepare {
        path: dir.to_owned(),
        source,
    })
}

/// Gives a persistent volume to the pod's `fsGroup`; the tree may be large, so not on a worker
/// thread.
async fn own_by_group(pod: &Pod, ready: Ready) -> Result<Ready, MountError> {
    let Some(group) = payload::fs_group(pod) else {
        return Ok(ready);
    };
    let spec = pod.spec.as_ref();
    let context = spec.and_then(|spec| spec.security_context.as_ref());
    let policy = context.and_then(|context| context.fs_group_change_policy.as_deref());
    let only_mismatch = policy == Some("OnRootMismatch");
    let path = ready.path.clone();
    let read_only = ready.read_only;
    let owned = tokio::task::spawn_blocking(move || {
        sys::own_by_group(&path, group, read_only, only_mismatch)
    });
    owned
        .await
        .map_err(MountError::Stopping)?
        .map_err(MountError::OwnByGroup)?;
    Ok(ready)
}

async fn remove_dirs(dirs: Vec<PathBuf>) -> std::io::Result<()> {
    let removed = tokio::task::spawn_blocking(move || {
        for dir in &dirs {
            remove_tree(dir)?;
        }
        Ok(())
    });
    removed.await.map_err(std::io::Error::other)?
}

/// Unmounts everything below the directory and removes it. Mounts are taken away first: what is
/// behind one is not the pod's to delete.
///
/// # Errors
/// When a mount is still there afterwards, or the directory cannot be removed.
pub(crate) fn remove_tree(dir: &Path) -> std::io::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    mount::detach_below(dir)?;
    if let Some(left) = mount::mounts_below(dir)?.first() {
        let message = format!("{} is still mounted", left.display());
        return Err(std::io::Error::other(message));
    }
    k3s_sys::fs::remove_all(dir)
}
