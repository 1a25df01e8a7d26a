//! Priority level configurations.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `flowcontrol.apiserver.k8s.io/v1` `PriorityLevelConfiguration`.
pub(crate) struct PriorityLevelConfiguration;

impl KindRules for PriorityLevelConfiguration {
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
