//! Defaults of stateful sets.

use k3s_meta::tree;
use serde_json::Value;

use crate::core::persistentvolumeclaim::defaults as claim_defaults;
use crate::core::podspec::defaults;

pub(super) fn default(set: &mut Value) {
    tree::set_missing(set, "status.replicas", 0);
    tree::set_missing(set, "status.availableReplicas", 0);
    tree::ensure(set, "spec.template.spec");
    defaults::template(set, "spec.template");
    let Some(spec) = tree::get_mut(set, "spec") else {
        return;
    };
    tree::set_zero(spec, "podManagementPolicy", "OrderedReady");
    if !tree::has(spec, "updateStrategy.type") {
        tree::set(spec, "updateStrategy.type", "RollingUpdate");
        tree::ensure(spec, "updateStrategy.rollingUpdate");
    }
    let is_rolling = tree::text(spec, "updateStrategy.type") == "RollingUpdate";
    if is_rolling && tree::get(spec, "updateStrategy.rollingUpdate").is_some() {
        tree::set_missing(spec, "updateStrategy.rollingUpdate.partition", 0);
    }
    tree::set_zero(
        spec,
        "persistentVolumeClaimRetentionPolicy.whenDeleted",
        "Retain",
    );
    tree::set_zero(
        spec,
        "persistentVolumeClaimRetentionPolicy.whenScaled",
        "Retain",
    );
    tree::set_missing(spec, "replicas", 1);
    tree::set_missing(spec, "revisionHistoryLimit", 10);
    for claim in tree::each_mut(spec, "volumeClaimTemplates") {
        // Revisions are compared by content, so templates always name their type.
        tree::set_zero(claim, "apiVersion", "v1");
        tree::set_zero(claim, "kind", "PersistentVolumeClaim");
        claim_defaults::default(claim);
    }
}
