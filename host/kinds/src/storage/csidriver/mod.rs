//! CSI drivers.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `storage.k8s.io/v1` `CSIDriver`.
pub(crate) struct CSIDriver;

impl KindRules for CSIDriver {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }
}
