//! Volume attributes classes.

mod columns;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `storage.k8s.io/v1` `VolumeAttributesClass`.
pub(crate) struct VolumeAttributesClass;

impl KindRules for VolumeAttributesClass {
    columns!();
}
