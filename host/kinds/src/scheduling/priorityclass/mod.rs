//! Priority classes.

mod columns;
mod defaults;

use jiff::Timestamp;
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
}
