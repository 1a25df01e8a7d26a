//! CSI storage capacities.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `storage.k8s.io/v1` `CSIStorageCapacity`.
pub(crate) struct CSIStorageCapacity;

impl KindRules for CSIStorageCapacity {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }
}
