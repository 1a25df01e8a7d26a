//! Volumes behind claims: `persistentVolumeClaim` and generic `ephemeral` volumes whose persistent
//! volume is a directory of this node (`hostPath` and `local`). Other kinds make the pod wait with
//! a clear message.
//!
//! Claim and volume are read from the API at each mount, as upstream does: what the pod may see
//! depends on them.

use std::path::PathBuf;

use k3s_client::{Object, resources};
use k3s_meta::object::annotation;
use k3s_meta::tree;
use k3s_volume::{check_ephemeral, ephemeral_claim_name, is_fully_bound, names, volume_name};
use k8s_openapi::api::core::v1::{Pod, Volume};
use serde_json::Value;

use super::context::{Ready, VolumeContext};
use super::error::{ClaimError, MountError};
use super::hostpath;
use crate::model;

/// A claim's directory.
pub(crate) struct Claimed {
    pub(crate) ready: Ready,
    /// Whether it is given to the pod's `fsGroup`: directories that others may use too are not.
    pub(crate) takes_group: bool,
}

/// The directory behind a volume that stands for a claim; nothing for other volumes.
pub(crate) async fn resolve(
    ctx: &VolumeContext,
    pod: &Pod,
    volume: &Volume,
) -> Result<Option<Claimed>, MountError> {
    let (name, read_only) = match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(source), _) => (source.claim_name.clone(), source.read_only.unwrap_or(false)),
        (None, Some(_)) => (ephemeral_claim_name(model::name(pod), &volume.name), false),
        (None, None) => return Ok(None),
    };
    let ephemeral = volume.persistent_volume_claim.is_none();
    let persistent = persistent_volume(ctx, pod, &name, ephemeral).await;
    let persistent = persistent.map_err(|source| MountError::Claim {
        namespace: model::namespace(pod).to_owned(),
        claim: name,
        source,
    })?;
    let Directory {
        path,
        kind,
        takes_group,
    } = directory(persistent.value())?;
    hostpath::prepare(&path, &kind)?;
    Ok(Some(Claimed {
        ready: Ready { path, read_only },
        takes_group,
    }))
}

/// The persistent volume that the claim `name` is bound to, once the pod may use it.
async fn persistent_volume(
    ctx: &VolumeContext,
    pod: &Pod,
    name: &str,
    ephemeral: bool,
) -> Result<Object, ClaimError> {
    let (client, namespace) = (&ctx.client, model::namespace(pod));
    let claim = client
        .get(&resources::PERSISTENT_VOLUME_CLAIMS, Some(namespace), name)
        .await
        .map_err(ClaimError::FetchClaim)?;
    if ephemeral {
        check_ephemeral(claim.value(), model::name(pod), model::uid(pod))
            .map_err(|refusal| ClaimError::NotOwned(refusal.to_string()))?;
    }
    check_claim(&claim)?;
    let bound_to = volume_name(claim.value());
    let volume = client
        .get(&resources::PERSISTENT_VOLUMES, None, bound_to)
        .await
        .map_err(|source| ClaimError::FetchVolume {
            name: bound_to.to_owned(),
            source,
        })?;
    check_volume(&volume, &claim)?;
    Ok(volume)
}

/// Whether a pod may begin to use the claim.
fn check_claim(claim: &Object) -> Result<(), ClaimError> {
    if claim.is_deleting() {
        return Err(ClaimError::Deleting);
    }
    let phase = tree::text(claim.value(), "status.phase");
    if phase != "Bound" || !is_fully_bound(claim.value()) {
        return Err(ClaimError::NotBound);
    }
    if tree::text(claim.value(), "spec.volumeMode") == "Block" {
        return Err(ClaimError::Block);
    }
    Ok(())
}

fn check_volume(volume: &Object, claim: &Object) -> Result<(), ClaimError> {
    let owner = tree::text(volume.value(), "spec.claimRef.uid");
    if owner == claim.uid() {
        return Ok(());
    }
    Err(ClaimError::OtherClaim {
        owner: owner.to_owned(),
        claim: claim.uid().to_owned(),
    })
}

#[derive(Debug, PartialEq, Eq)]
struct Directory {
    path: PathBuf,
    /// The hostPath type.
    kind: String,
    takes_group: bool,
}

/// Where a volume that is a directory is.
fn directory(volume: &Value) -> Result<Directory, MountError> {
    if let Some(host) = tree::get(volume, "spec.hostPath") {
        let (path, kind) = (
            tree::text(host, "path").into(),
            tree::text(host, "type").to_owned(),
        );
        return Ok(Directory {
            path,
            kind,
            takes_group: false,
        });
    }
    if let Some(local) = tree::get(volume, "spec.local") {
        let path = tree::text(local, "path").into();
        return Ok(Directory {
            path,
            kind: "Directory".to_owned(),
            takes_group: true,
        });
    }
    Err(MountError::UnsupportedPersistentVolume {
        name: k3s_meta::object::name(volume).to_owned(),
        provisioner: annotation(volume, names::PROVISIONED_BY).map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_bound_claims_of_directories_are_mounted() {
        let claim = |value: Value| Obj::from_value(value).unwrap();
        let done = json!({"pv.kubernetes.io/bind-completed": "yes"});
        let bound = json!({"metadata": {"name": "c", "uid": "1", "annotations": done}, "spec": {"volumeName": "v"}, "status": {"phase": "Bound"}});
        assert!(check_claim(&claim(bound.clone())).is_ok());
        let mut deleting = bound.clone();
        deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert!(matches!(
            check_claim(&claim(deleting)),
            Err(ClaimError::Deleting)
        ));
        assert!(matches!(
            check_claim(&claim(json!({"metadata": {"name": "c"}}))),
            Err(ClaimError::NotBound)
        ));
        let volume = claim(json!({"metadata": {"name": "v"}, "spec": {"claimRef": {"uid": "2"}}}));
        assert!(
            check_volume(&volume, &claim(bound))
                .unwrap_err()
                .to_string()
                .contains("does not match")
        );
        let local = json!({"metadata": {"name": "v"}, "spec": {"local": {"path": "/x"}}});
        assert!(directory(&local).unwrap().takes_group);
        assert!(
            directory(&json!({"metadata": {"name": "v"}, "spec": {"nfs": {}}}))
                .unwrap_err()
                .to_string()
                .contains("only hostPath")
        );
    }
}
