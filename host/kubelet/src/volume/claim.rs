//! Volumes behind claims: `persistentVolumeClaim` and generic `ephemeral` volumes whose persistent
//! volume is a directory of this node (`hostPath` and `local`). Other kinds make the pod wait with
//! a clear message.
//!
//! Claim and volume are asked of the server at each mount, as upstream does: what the pod may see
//! depends on them.

use std::path::PathBuf;

use k3s_client::{Object, resources};
use k3s_meta::object::{annotation, at, at_str};
use k3s_volume::{check_ephemeral, ephemeral_claim_name, is_fully_bound, names, volume_name};
use k8s_openapi::api::core::v1::{Pod, Volume};
use serde_json::Value;

use super::{Ready, hostpath};
use crate::context::Context;
use crate::pod::model;

/// A claim's directory.
pub(crate) struct Claimed {
    pub(crate) ready: Ready,
    /// Whether it is given to the pod's `fsGroup`: directories that others may use too are not.
    pub(crate) takes_group: bool,
}

/// The directory behind a volume that stands for a claim; nothing for other volumes.
pub(crate) async fn resolve(
    ctx: &Context,
    pod: &Pod,
    volume: &Volume,
) -> Result<Option<Claimed>, String> {
    let (claim_name, read_only, ephemeral) =
        match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(source), _) => (
                source.claim_name.clone(),
                source.read_only.unwrap_or(false),
                false,
            ),
            (None, Some(_)) => (
                ephemeral_claim_name(model::name(pod), &volume.name),
                false,
                true,
            ),
            (None, None) => return Ok(None),
        };
    let namespace = model::namespace(pod);
    let of_claim = |why: String| format!("error processing PVC {namespace}/{claim_name}: {why}");
    let claim = ctx
        .client
        .get(
            &resources::PERSISTENT_VOLUME_CLAIMS,
            Some(namespace),
            &claim_name,
        )
        .await;
    let claim = claim.map_err(|e| of_claim(format!("failed to fetch PVC from API server: {e}")))?;
    if ephemeral {
        check_ephemeral(claim.value(), model::name(pod), model::uid(pod)).map_err(of_claim)?;
    }
    check_claim(&claim).map_err(|why| of_claim(why.to_owned()))?;
    let bound_to = volume_name(claim.value());
    let persistent = ctx
        .client
        .get(&resources::PERSISTENT_VOLUMES, None, bound_to)
        .await;
    let persistent = persistent.map_err(|e| {
        of_claim(format!(
            "failed to fetch PV {bound_to} from API server: {e}"
        ))
    })?;
    check_volume(&persistent, &claim).map_err(of_claim)?;
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

/// Whether a pod may begin to use the claim.
fn check_claim(claim: &Object) -> Result<(), &'static str> {
    if claim.is_deleting() {
        return Err("PVC is being deleted");
    }
    let phase = at_str(claim.value(), &["status", "phase"]);
    if phase != "Bound" || !is_fully_bound(claim.value()) {
        return Err("PVC is not bound");
    }
    if at_str(claim.value(), &["spec", "volumeMode"]) == "Block" {
        return Err("block volumes are not supported by this node");
    }
    Ok(())
}

fn check_volume(volume: &Object, claim: &Object) -> Result<(), String> {
    let owner = at_str(volume.value(), &["spec", "claimRef", "uid"]);
    if owner == claim.uid() {
        return Ok(());
    }
    Err(format!(
        "PV.Spec.ClaimRef.UID {owner} does not match PVC.UID {}",
        claim.uid()
    ))
}

#[derive(Debug, PartialEq, Eq)]
struct Directory {
    path: PathBuf,
    /// The hostPath type.
    kind: String,
    takes_group: bool,
}

/// Where a volume that is a directory is.
fn directory(volume: &Value) -> Result<Directory, String> {
    if let Some(host) = at(volume, &["spec", "hostPath"]).filter(|source| !source.is_null()) {
        let (path, kind) = (
            at_str(host, &["path"]).into(),
            at_str(host, &["type"]).to_owned(),
        );
        return Ok(Directory {
            path,
            kind,
            takes_group: false,
        });
    }
    if let Some(local) = at(volume, &["spec", "local"]).filter(|source| !source.is_null()) {
        let path = at_str(local, &["path"]).into();
        return Ok(Directory {
            path,
            kind: "Directory".to_owned(),
            takes_group: true,
        });
    }
    let made_by = annotation(volume, names::PROVISIONED_BY)
        .map_or_else(String::new, |by| format!(" (made by {by})"));
    Err(format!(
        "persistent volume {}{made_by} is of a kind that this node does not support; only hostPath and local are",
        k3s_meta::object::name(volume)
    ))
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
        assert_eq!(check_claim(&claim(bound.clone())), Ok(()));
        let mut deleting = bound.clone();
        deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(check_claim(&claim(deleting)), Err("PVC is being deleted"));
        assert_eq!(
            check_claim(&claim(json!({"metadata": {"name": "c"}}))),
            Err("PVC is not bound")
        );
        let volume = claim(json!({"metadata": {"name": "v"}, "spec": {"claimRef": {"uid": "2"}}}));
        assert!(
            check_volume(&volume, &claim(bound))
                .unwrap_err()
                .contains("does not match")
        );
        let local = json!({"metadata": {"name": "v"}, "spec": {"local": {"path": "/x"}}});
        assert!(directory(&local).unwrap().takes_group);
        assert!(
            directory(&json!({"metadata": {"name": "v"}, "spec": {"nfs": {}}}))
                .unwrap_err()
                .contains("only hostPath")
        );
    }
}
