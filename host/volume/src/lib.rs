//! Claims, persistent volumes and storage classes: which fits which. Shared by the binder, the
//! scheduler, the kubelet and admission, which must agree. Pure; works on the dynamic tree.
//!
//! Upstream: `component-helpers/storage/volume`.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod class;
mod matching;
pub mod names;

pub use class::{Class, class_of, default_class, has_class, waits_for_consumer};
pub use matching::{best_match, fits_requested, is_bound_to, request};

use k3s_meta::tree;
use serde_json::Value;

/// `spec.volumeName` of a claim; empty while it has none.
#[must_use]
pub fn volume_name(claim: &Value) -> &str {
    tree::text(claim, "spec.volumeName")
}

/// Whether the binder has finished with a claim: both sides name one another.
#[must_use]
pub fn is_fully_bound(claim: &Value) -> bool {
    !volume_name(claim).is_empty()
        && k3s_meta::object::annotation(claim, names::BIND_COMPLETED).is_some()
}

/// A claim's name and what a pod's volume has to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodClaim {
    /// Name of the claim, in the pod's namespace.
    pub name: String,
    /// The claim is made for the pod (a generic ephemeral volume) and must be its own.
    pub ephemeral: bool,
}

/// The claims that a pod's volumes name, in their order.
#[must_use]
pub fn claims_of_pod(pod: &Value) -> Vec<PodClaim> {
    let volumes = tree::list(pod, "spec.volumes");
    let pod_name = k3s_meta::object::name(pod);
    volumes
        .iter()
        .filter_map(|volume| {
            let claimed = tree::text(volume, "persistentVolumeClaim.claimName");
            if !claimed.is_empty() {
                return Some(PodClaim {
                    name: claimed.to_owned(),
                    ephemeral: false,
                });
            }
            tree::get(volume, "ephemeral")?;
            let name = ephemeral_claim_name(pod_name, tree::text(volume, "name"));
            Some(PodClaim {
                name,
                ephemeral: true,
            })
        })
        .collect()
}

/// The claim of a generic ephemeral volume.
#[must_use]
pub fn ephemeral_claim_name(pod: &str, volume: &str) -> String {
    format!("{pod}-{volume}")
}

/// A claim for a generic ephemeral volume must be controlled by the pod; the sentence says that it
/// is not (`component-helpers/storage/ephemeral`).
///
/// # Errors
/// When the claim is somebody else's.
pub fn check_ephemeral(claim: &Value, pod_name: &str, pod_uid: &str) -> Result<(), String> {
    match k3s_meta::object::controller_of(claim) {
        Some(owner) if owner.uid == pod_uid => Ok(()),
        _ => Err(format!(
            "PVC {}/{} was not created for pod {}/{pod_name} (pod is not owner)",
            k3s_meta::object::namespace(claim),
            k3s_meta::object::name(claim),
            k3s_meta::object::namespace(claim),
        )),
    }
}
