//! Claims, persistent volumes and storage classes: which fits which. The binder, the scheduler, the
//! kubelet and admission share it, because they must agree. Pure; works on the dynamic tree, since the
//! binder writes the same objects back.
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

use k3s_meta::{object, tree};
use serde_json::Value;

/// `spec.volumeName` of a claim; empty while it has none.
#[must_use]
pub fn volume_name(claim: &Value) -> &str {
    tree::text(claim, "spec.volumeName")
}

/// Whether the binder has finished with a claim, so that claim and volume name each other.
#[must_use]
pub fn is_fully_bound(claim: &Value) -> bool {
    !volume_name(claim).is_empty() && object::annotation(claim, names::BIND_COMPLETED).is_some()
}

/// A claim that a volume of a pod names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodClaim {
    /// Name of the claim, in the pod's namespace.
    pub name: String,
    /// The claim is created for the pod (a generic ephemeral volume) and must be owned by it.
    pub ephemeral: bool,
}

/// The claims that a pod's volumes name, in their order.
#[must_use]
pub fn claims_of_pod(pod: &Value) -> Vec<PodClaim> {
    let volumes = tree::list(pod, "spec.volumes");
    let pod_name = object::name(pod);
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

/// A claim has the name of a pod's ephemeral volume and belongs to another owner. In upstream's words
/// (`component-helpers/storage/ephemeral`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PVC {namespace}/{claim} was not created for pod {namespace}/{pod} (pod is not owner)")]
pub struct NotOwner {
    namespace: String,
    claim: String,
    pod: String,
}

/// Whether the claim of a generic ephemeral volume is controlled by the pod.
///
/// # Errors
/// When another object, or none, controls the claim.
pub fn check_ephemeral(claim: &Value, pod_name: &str, pod_uid: &str) -> Result<(), NotOwner> {
    match object::controller_of(claim) {
        Some(owner) if owner.uid == pod_uid => Ok(()),
        _ => Err(NotOwner {
            namespace: object::namespace(claim).to_owned(),
            claim: object::name(claim).to_owned(),
            pod: pod_name.to_owned(),
        }),
    }
}
