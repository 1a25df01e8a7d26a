//! Defaults of replica sets.

use serde_json::Value;

use crate::core::podspec::defaults;
use crate::tree;

pub(super) fn default(set: &mut Value) {
    tree::set_missing(set, "status.replicas", 0);
    defaults::template(set, "spec.template");
    if let Some(spec) = tree::at_mut(set, "spec") {
        tree::set_missing(spec, "replicas", 1);
    }
}
