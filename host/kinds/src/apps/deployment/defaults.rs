//! Defaults of deployments.

use k3s_meta::tree;
use serde_json::{Value, json};

use crate::core::podspec::defaults;

pub(super) fn default(deployment: &mut Value) {
    tree::set_missing(deployment, "status", json!({}));
    tree::ensure(deployment, "spec.template.spec");
    defaults::template(deployment, "spec.template");
    let Some(spec) = tree::get_mut(deployment, "spec") else {
        return;
    };
    tree::set_missing(spec, "replicas", 1);
    tree::set_zero(spec, "strategy.type", "RollingUpdate");
    if tree::text(spec, "strategy.type") == "RollingUpdate" {
        tree::set_missing(spec, "strategy.rollingUpdate.maxUnavailable", "25%");
        tree::set_missing(spec, "strategy.rollingUpdate.maxSurge", "25%");
    }
    tree::set_missing(spec, "revisionHistoryLimit", 10);
    tree::set_missing(spec, "progressDeadlineSeconds", 600);
}
