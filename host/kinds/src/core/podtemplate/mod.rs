//! Stored pod templates.

mod columns;
mod defaults;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `v1` `PodTemplate`.
pub(crate) struct PodTemplate;

impl KindRules for PodTemplate {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn generation(&self) -> Generation {
        Generation::Content(&["template"])
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }
}
