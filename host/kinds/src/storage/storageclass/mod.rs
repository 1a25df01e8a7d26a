//! Storage classes.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `storage.k8s.io/v1` `StorageClass`.
pub(crate) struct StorageClass;

impl KindRules for StorageClass {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }
}
