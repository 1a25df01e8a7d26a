//! Persistent volume claims.

mod columns;
pub(crate) mod defaults;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::rules::{KindRules, columns};
use crate::tree;

/// Rules of `v1` `PersistentVolumeClaim`.
pub(crate) struct PersistentVolumeClaim;

impl KindRules for PersistentVolumeClaim {
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
}
