//! A pod's volumes on the node: made before its containers, kept up to date while it runs, taken
//! away after it. Directories as upstream: `pods/<uid>/volumes/kubernetes.io~<kind>/<name>`.

pub(crate) mod atomic;
mod claim;
mod hostpath;
mod payload;
pub(crate) mod token;

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use k3s_sys::volume as sys;
use k8s_openapi::api::core::v1::{Pod, Volume};

use crate::container::fields::NodeFacts;
use crate::context::Context;
use crate::pod::model;
use crate::pod::qos::whole;

/// A volume ready to be mounted into containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) path: PathBuf,
    /// No container may write to it.
    pub(crate) read_only: bool,
}

/// Volumes by name.
pub(crate) type Mounted = HashMap<String, Ready>;

/// Why a volume is not there yet; the pod waits and the step is tried again.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("MountVolume.SetUp failed for volume \"{volume}\" : {message}")]
pub(crate) struct VolumeError {
    pub(crate) volume: String,
    pub(crate) message: String,
}

/// Makes or refreshes all volumes of the pod.
pub(crate) async fn mount_all(
    ctx: &Context,
    pod: &Pod,
    facts: &NodeFacts,
) -> Result<Mounted, VolumeError> {
    let mut mounted = Mounted::new();
    for volume in pod.spec.iter().flat_map(|s| s.volumes.iter().flatten()) {
        let ready = mount_one(ctx, pod, volume, facts)
            .await
            .map_err(|message| VolumeError {
                volume: volume.name.clone(),
                message,
            })?;
        mounted.insert(volume.name.clone(), ready);
    }
    Ok(mounted)
}

/// ConfigMaps and Secrets whose change must reach the pod's files: `(is secret, name)`.
pub(crate) fn references(pod: &Pod) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    for volume in pod.spec.iter().flat_map(|s| s.volumes.iter().flatten()) {
        found.extend(volume.config_map.iter().map(|c| (false, c.name.clone())));
        found.extend(
            volume
                .secret
                .iter()
                .filter_map(|s| s.secret_name.clone())
                .map(|name| (true, name)),
        );
        let sources = volume
            .projected
            .iter()
            .flat_map(|p| p.sources.iter().flatten());
        for source in sources {
            found.extend(source.config_map.iter().map(|c| (false, c.name.clone())));
            found.extend(source.secret.iter().map(|s| (true, s.name.clone())));
        }
    }
    found.sort();
    found.dedup();
    found
}

fn directory(ctx: &Context, pod: &Pod, kind: &str, name: &str) -> PathBuf {
    ctx.config
        .pod_dir(model::uid(pod))
        .join("volumes")
        .join(format!("kubernetes.io~{kind}"))
        .join(name)
}

async fn mount_one(
    ctx: &Context,
    pod: &Pod,
    volume: &Volume,
    facts: &NodeFacts,
) -> Result<Ready, String> {
    if let Some(payload) = payload::payload(ctx, pod, volume, facts).await {
        let dir = directory(ctx, pod, payload_kind(volume), &volume.name);
        let stamp = ctx
            .config
            .clock
            .now()
            .strftime("%Y_%m_%d_%H_%M_%S.%9f")
            .to_string();
        // Secrets and tokens stay in memory, as upstream keeps them.
        let in_memory =
            volume.secret.is_some() || volume.projected.is_some() || volume.downward_api.is_some();
        prepare_dir(&dir, in_memory, None, 0o1777)?;
        atomic::write(&dir, &payload?, &stamp).map_err(|e| e.to_string())?;
        return Ok(Ready {
            path: dir,
            read_only: true,
        });
    }
    if let Some(source) = &volume.empty_dir {
        return empty_dir(ctx, pod, volume, source);
    }
    if let Some(source) = &volume.host_path {
        let path = PathBuf::from(&source.path);
        hostpath::prepare(&path, source.type_.as_deref().unwrap_or_default())?;
        return Ok(Ready {
            path,
            read_only: false,
        });
    }
    if let Some(claim::Claimed { ready, takes_group }) = claim::resolve(ctx, pod, volume).await? {
        return if takes_group {
            own_by_group(pod, ready).await
        } else {
            Ok(ready)
        };
    }
    Err("this kind of volume is not supported by this node".to_owned())
}

fn payload_kind(volume: &Volume) -> &'static str {
    match (&volume.config_map, &volume.secret, &volume.downward_api) {
        (Some(_), ..) => "configmap",
        (_, Some(_), _) => "secret",
        (.., Some(_)) => "downward-api",
        _ => "projected",
    }
}

fn empty_dir(
    ctx: &Context,
    pod: &Pod,
    volume: &Volume,
    source: &k8s_openapi::api::core::v1::EmptyDirVolumeSource,
) -> Result<Ready, String> {
    let dir = directory(ctx, pod, "empty-dir", &volume.name);
    let limit = source
        .size_limit
        .as_ref()
        .map(whole)
        .and_then(|bytes| u64::try_from(bytes).ok())
        .filter(|b| *b > 0);
    let fresh = !dir.exists();
    match source.medium.as_deref().unwrap_or_default() {
        "" => prepare_dir(&dir, false, None, 0o777)?,
        "Memory" => prepare_dir(&dir, true, limit.or_else(|| memory_limit(pod)), 0o777)?,
        other => {
            return Err(format!(
                "emptyDir medium {other} is not supported by this node"
            ));
        }
    }
    if fresh && let Some(group) = payload::fs_group(pod) {
        sys::own_by_group(&dir, group, false, false).map_err(|e| e.to_string())?;
    }
    Ok(Ready {
        path: dir,
        read_only: false,
    })
}

/// A memory volume without a limit of its own may take what the pod may take.
fn memory_limit(pod: &Pod) -> Option<u64> {
    crate::pod::qos::pod_limits(pod)
        .1
        .and_then(|bytes| u64::try_from(bytes).ok())
}

/// Makes the directory with `mode` whatever the umask, with a tmpfs on it where asked for.
fn prepare_dir(dir: &Path, tmpfs: bool, limit_bytes: Option<u64>, mode: u32) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("cannot prepare {}: {e}", dir.display());
    let fresh = !dir.exists();
    std::fs::create_dir_all(dir).map_err(failed)?;
    if tmpfs && !sys::is_mount_point(dir).map_err(failed)? {
        sys::mount_tmpfs(dir, limit_bytes, mode).map_err(failed)?;
    }
    if fresh {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    Ok(())
}

/// Gives a persistent volume to the pod's `fsGroup`; the tree may be large, so not on a worker
/// thread.
async fn own_by_group(pod: &Pod, ready: Ready) -> Result<Ready, String> {
    let Some(group) = payload::fs_group(pod) else {
        return Ok(ready);
    };
    let policy = pod
        .spec
        .as_ref()
        .and_then(|s| s.security_context.as_ref())
        .and_then(|c| c.fs_group_change_policy.clone());
    let only_mismatch = policy.as_deref() == Some("OnRootMismatch");
    let (path, read_only) = (ready.path.clone(), ready.read_only);
    tokio::task::spawn_blocking(move || sys::own_by_group(&path, group, read_only, only_mismatch))
        .await
        .map_err(|e| e.to_string())?
        .map_err(|e| format!("applyFSGroup failed: {e}"))?;
    Ok(ready)
}

/// Unmounts everything below the pod's directory and removes the directory. Mounts go first: what
/// is behind one is not the pod's to delete.
pub(crate) fn remove_pod_dir(dir: &Path) -> std::io::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    for mount in sys::mounts_below(dir)? {
        sys::unmount(&mount)?;
    }
    if let Some(left) = sys::mounts_below(dir)?.first() {
        return Err(std::io::Error::other(format!(
            "{} is still mounted",
            left.display()
        )));
    }
    std::fs::remove_dir_all(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_in_plain_and_projected_volumes() {
        let pod: Pod = serde_json::from_value(serde_json::json!({"spec": {"containers": [], "volumes": [
            {"name": "a", "configMap": {"name": "m"}},
            {"name": "b", "projected": {"sources": [{"configMap": {"name": "m"}}, {"secret": {"name": "s"}}]}}]}}))
        .unwrap();
        assert_eq!(
            references(&pod),
            [(false, "m".to_owned()), (true, "s".to_owned())]
        );
    }
}
