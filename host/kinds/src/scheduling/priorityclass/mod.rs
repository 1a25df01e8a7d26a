//! Priority classes.

mod columns;
mod defaults;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `scheduling.k8s.io/v1` `PriorityClass`.
pub(crate) struct PriorityClass;

impl KindRules for PriorityClass {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn generation(&self) -> Generation {
        Generation::Content(&["globalDefault", "description"])
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }

    fn validate_update(&self, new: &Value, old: &Value) -> ErrorList {
        validation::validate_update(new, old)
    }
}
