//! Defaults of volume attachments, and zero values that every one shows.

use k3s_meta::tree;
use serde_json::Value;

use crate::core::persistentvolume::defaults as volume;

pub(super) fn default(attachment: &mut Value) {
    tree::set_missing(attachment, "status.attached", false);
    if let Some(spec) = tree::get_mut(attachment, "spec.source.inlineVolumeSpec") {
        volume::source(spec);
    }
}
