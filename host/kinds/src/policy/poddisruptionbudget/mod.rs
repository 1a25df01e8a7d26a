//! Pod disruption budgets.

mod columns;
mod defaults;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `policy/v1` `PodDisruptionBudget`.
pub(crate) struct PodDisruptionBudget;

impl KindRules for PodDisruptionBudget {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn has_status(&self) -> bool {
        true
    }

    fn generation(&self) -> Generation {
        Generation::Spec
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }

    fn validate_status_update(&self, new: &Value, old: &Value) -> ErrorList {
        validation::validate_status_update(new, old)
    }
}
