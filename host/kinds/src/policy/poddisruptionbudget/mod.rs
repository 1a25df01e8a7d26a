//! Pod disruption budgets.

mod columns;
mod defaults;

use jiff::Timestamp;
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
}
