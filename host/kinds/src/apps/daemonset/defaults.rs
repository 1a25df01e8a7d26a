//! Defaults of daemon sets.

use k3s_meta::tree;
use serde_json::Value;

use crate::core::podspec::defaults;

pub(super) fn default(set: &mut Value) {
    for field in [
        "currentNumberScheduled",
        "desiredNumberScheduled",
        "numberMisscheduled",
        "numberReady",
    ] {
        tree::set_missing(set, &format!("status.{field}"), 0);
    }
    tree::ensure(set, "spec.template.spec");
    defaults::template(set, "spec.template");
    let Some(spec) = tree::get_mut(set, "spec") else {
        return;
    };
    tree::set_zero(spec, "updateStrategy.type", "RollingUpdate");
    if tree::text(spec, "updateStrategy.type") == "RollingUpdate" {
        tree::set_missing(spec, "updateStrategy.rollingUpdate.maxUnavailable", 1);
        tree::set_missing(spec, "updateStrategy.rollingUpdate.maxSurge", 0);
    }
    tree::set_missing(spec, "revisionHistoryLimit", 10);
}
