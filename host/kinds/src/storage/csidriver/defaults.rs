//! Defaults of CSI drivers.

use k3s_meta::tree;
use serde_json::{Value, json};

pub(super) fn default(driver: &mut Value) {
    let Some(spec) = tree::get_mut(driver, "spec") else {
        return;
    };
    tree::set_missing(spec, "attachRequired", true);
    for field in [
        "podInfoOnMount",
        "storageCapacity",
        "requiresRepublish",
        "seLinuxMount",
    ] {
        tree::set_missing(spec, field, false);
    }
    tree::set_missing(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    if !tree::has(spec, "volumeLifecycleModes") {
        tree::set(spec, "volumeLifecycleModes", json!(["Persistent"]));
    }
}
