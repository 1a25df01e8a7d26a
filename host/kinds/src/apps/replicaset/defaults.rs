//! Defaults of replica sets.

use k3s_meta::tree;
use serde_json::Value;

use crate::core::podspec::defaults;

pub(super) fn default(set: &mut Value) {
    tree::set_missing(set, "status.replicas", 0);
    tree::ensure(set, "spec.template.spec");
    defaults::template(set, "spec.template");
    if let Some(spec) = tree::get_mut(set, "spec") {
        tree::set_missing(spec, "replicas", 1);
    }
}
