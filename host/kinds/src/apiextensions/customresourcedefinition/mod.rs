//! Custom resource definitions.

mod columns;
mod defaults;
mod strategy;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `apiextensions.k8s.io/v1` `CustomResourceDefinition`.
pub(crate) struct CustomResourceDefinition;

impl KindRules for CustomResourceDefinition {
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

    fn prepare_create(&self, object: &mut Value) {
        strategy::prepare_create(object);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value) {
        strategy::prepare_update(new, old);
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }

    fn validate_update(&self, new: &Value, old: &Value) -> ErrorList {
        validation::validate_update(new, old)
    }
}
