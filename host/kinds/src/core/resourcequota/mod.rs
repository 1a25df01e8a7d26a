//! Resource quotas.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `v1` `ResourceQuota`.
pub(crate) struct ResourceQuota;

impl KindRules for ResourceQuota {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn has_status(&self) -> bool {
        true
    }
}
