//! Resource quotas.

mod columns;
mod defaults;
pub mod usage;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
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

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }

    fn validate_update(&self, new: &Value, old: &Value) -> ErrorList {
        validation::validate_update(new, old)
    }
}
