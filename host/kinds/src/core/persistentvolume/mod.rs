//! Persistent volumes.

mod columns;
mod defaults;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use k3s_meta::tree;
use serde_json::{Value, json};

use crate::rules::{KindRules, columns};

/// Rules of `v1` `PersistentVolume`.
pub(crate) struct PersistentVolume;

impl KindRules for PersistentVolume {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn has_status(&self) -> bool {
        true
    }

    fn prepare_create(&self, object: &mut Value) {
        tree::set(object, "status", json!({"phase": "Pending"}));
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }

    fn validate_update(&self, new: &Value, old: &Value) -> ErrorList {
        validation::validate_update(new, old)
    }
}
