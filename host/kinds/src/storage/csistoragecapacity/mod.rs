//! CSI storage capacities.

mod columns;
mod defaults;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `storage.k8s.io/v1` `CSIStorageCapacity`.
pub(crate) struct CSIStorageCapacity;

impl KindRules for CSIStorageCapacity {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }

    fn validate_update(&self, new: &Value, old: &Value) -> ErrorList {
        validation::validate_update(new, old)
    }
}
