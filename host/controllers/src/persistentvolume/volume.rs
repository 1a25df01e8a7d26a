//! Pure: what is to be done about a persistent volume (`syncVolume`).

use k3s_client::Obj;
use k3s_meta::object::annotation;
use k3s_meta::tree;
use k3s_volume::names;
use serde_json::Value;

/// What to do with a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// No claim has it, or it waits for the claim that it is reserved for.
    Available,
    /// Its claim has it.
    Bound,
    /// Its claim has to take the next step.
    AskClaim,
    /// Its claim is gone.
    Release,
    /// Its claim went with another volume: give it back as it was before (`true`: to all claims,
    /// `false`: the reservation stays).
    Unbind(bool),
}

/// `claim` is the one that the volume names, if that very object still exists.
pub(super) fn decide(volume: &Obj, claim: Option<&Obj>) -> Decision {
    let value = volume.value();
    let is_reserved = tree::get(value, "spec.claimRef").is_some();
    let uid = tree::text(value, "spec.claimRef.uid");
    if !is_reserved || uid.is_empty() {
        return Decision::Available;
    }
    let Some(claim) = claim else {
        return Decision::Release;
    };
    let named = k3s_volume::volume_name(claim.value());
    if named.is_empty() {
        return Decision::AskClaim;
    }
    if named == volume.name() {
        return Decision::Bound;
    }
    let is_provisioned = annotation(value, names::PROVISIONED_BY).is_some();
    if is_provisioned && policy(value) == "Delete" {
        return Decision::Release;
    }
    let was_chosen_here = annotation(value, names::BOUND_BY_CONTROLLER).is_some();
    Decision::Unbind(was_chosen_here)
}

pub(super) fn policy(volume: &Value) -> &str {
    tree::text(volume, "spec.persistentVolumeReclaimPolicy")
}

/// Why a released volume cannot be reclaimed: event reason and message. Nothing where
/// it is kept, or its provisioner deletes it.
pub(super) fn unreclaimable(volume: &Value) -> Option<(&'static str, String)> {
    match policy(volume) {
        "Delete"
            if annotation(volume, names::PROVISIONED_BY)
                .is_some_and(|by| !by.starts_with("kubernetes.io/")) =>
        {
            None
        }
        "Delete" => {
            let name = k3s_meta::object::name(volume);
            let message = format!(
                "error getting deleter volume plugin for volume \"{name}\": no deletable volume plugin matched"
            );
            Some(("VolumeFailedDelete", message))
        }
        "Recycle" => Some((
            "VolumeFailedRecycle",
            "No recycler plugin found for the volume!".to_owned(),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_volume_follows_its_claim() {
        let volume = |extra: Value| {
            let mut value = json!({"metadata": {"name": "v"}, "spec": {"persistentVolumeReclaimPolicy": "Delete"}});
            k3s_meta::patch::merge_patch(&mut value, &extra).unwrap();
            Obj::from_value(value).unwrap()
        };
        let bound = json!({"spec": {"claimRef": {"name": "c", "namespace": "n", "uid": "1"}}});
        let claim = |volume: &str| {
            Obj::from_value(json!({"metadata": {"name": "c"}, "spec": {"volumeName": volume}}))
                .unwrap()
        };
        let with = |annotation: &str, value: &str| {
            let mut with = bound.clone();
            with["metadata"]["annotations"][annotation] = value.into();
            with
        };
        for (volume, claim, expected) in [
            (volume(json!({})), None, Decision::Available),
            (
                volume(json!({"spec": {"claimRef": {"name": "c", "namespace": "n"}}})),
                None,
                Decision::Available,
            ),
            (volume(bound.clone()), Some(claim("v")), Decision::Bound),
            (volume(bound.clone()), Some(claim("")), Decision::AskClaim),
            (volume(bound.clone()), None, Decision::Release),
            (
                volume(bound.clone()),
                Some(claim("w")),
                Decision::Unbind(false),
            ),
            (
                volume(with(names::BOUND_BY_CONTROLLER, "yes")),
                Some(claim("w")),
                Decision::Unbind(true),
            ),
            (
                volume(with(names::PROVISIONED_BY, "x/y")),
                Some(claim("w")),
                Decision::Release,
            ),
        ] {
            assert_eq!(
                decide(&volume, claim.as_deref()),
                expected,
                "{:?}",
                volume.value()
            );
        }
        assert!(
            unreclaimable(volume(with(names::PROVISIONED_BY, "rancher.io/local-path")).value())
                .is_none()
        );
        assert_eq!(
            unreclaimable(volume(bound).value()).unwrap().0,
            "VolumeFailedDelete"
        );
    }
}
