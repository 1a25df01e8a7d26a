//! Defaults of persistent volumes.

use k3s_meta::tree;
use serde_json::Value;

use crate::core::podspec::volume_defaults;
use crate::quantity;

/// Volumes made by hand are kept, and carry a file system.
pub(super) fn default(volume: &mut Value) {
    tree::set_zero(volume, "status.phase", "Pending");
    tree::ensure(volume, "spec");
    let Some(spec) = tree::get_mut(volume, "spec") else {
        return;
    };
    tree::set_zero(spec, "persistentVolumeReclaimPolicy", "Retain");
    tree::set_missing(spec, "volumeMode", "Filesystem");
    source(spec);
}

/// Defaults of what a volume holds, also of one inside another object.
pub(crate) fn source(spec: &mut Value) {
    quantity::canonical_list(spec, "capacity");
    if let Some(path) = tree::get_mut(spec, "hostPath") {
        tree::set_missing(path, "type", "");
    }
    volume_defaults::legacy(spec);
}
