//! PersistentVolumeClaims whose volume is a directory of this node (`hostPath` and `local`); other
//! kinds of persistent volumes make the pod wait with a clear message.

use std::path::PathBuf;

use k3s_client::resources;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod};

use super::{Ready, hostpath};
use crate::context::Context;
use crate::pod::model;

/// The directory behind a claim.
pub(crate) async fn resolve(
    ctx: &Context,
    pod: &Pod,
    source: &PersistentVolumeClaimVolumeSource,
) -> Result<Ready, String> {
    let name = &source.claim_name;
    let claim = ctx.client.get(&resources::PERSISTENT_VOLUME_CLAIMS, Some(model::namespace(pod)), name).await;
    let claim = claim.map_err(|e| format!("failed to fetch PVC from API server: {e}"))?;
    let claim: PersistentVolumeClaim = claim.decode().map_err(|e| e.to_string())?;
    let bound = claim.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Bound");
    let Some(volume) = claim.spec.and_then(|s| s.volume_name).filter(|v| bound && !v.is_empty()) else {
        return Err(format!("PVC {}/{name} is not bound", model::namespace(pod)));
    };
    let object = ctx.client.get(&resources::PERSISTENT_VOLUMES, None, &volume).await;
    let volume: PersistentVolume =
        object.and_then(|o| o.decode()).map_err(|e| format!("failed to fetch PV {volume} from API server: {e}"))?;
    let spec = volume.spec.unwrap_or_default();
    let read_only = source.read_only.unwrap_or(false);
    let (path, kind) = match (&spec.host_path, &spec.local) {
        (Some(host), _) => (PathBuf::from(&host.path), host.type_.clone().unwrap_or_default()),
        (_, Some(local)) => (PathBuf::from(&local.path), "Directory".to_owned()),
        _ => return Err(format!("the kind of persistent volume behind claim {name} is not supported by this node")),
    };
    hostpath::prepare(&path, &kind)?;
    Ok(Ready { path, read_only })
}
