//! Defaults of replication controllers.

use k3s_meta::tree;
use serde_json::Value;

use crate::core::podspec::defaults;

/// Selector and labels are those of the template unless given.
pub(super) fn default(controller: &mut Value) {
    let labels = tree::map(controller, "spec.template.metadata.labels").clone();
    if !labels.is_empty() {
        for path in ["spec.selector", "metadata.labels"] {
            if !tree::has(controller, path) {
                tree::set(controller, path, labels.clone());
            }
        }
    }
    tree::set_missing(controller, "spec.replicas", 1);
    tree::set_missing(controller, "status.replicas", 0);
    defaults::template(controller, "spec.template");
}
