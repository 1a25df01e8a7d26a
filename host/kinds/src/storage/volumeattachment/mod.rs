//! Volume attachments.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `storage.k8s.io/v1` `VolumeAttachment`.
pub(crate) struct VolumeAttachment;

impl KindRules for VolumeAttachment {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn has_status(&self) -> bool {
        true
    }
}
