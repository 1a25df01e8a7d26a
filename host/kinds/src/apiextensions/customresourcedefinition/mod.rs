//! Custom resource definitions.

mod columns;
mod defaults;
mod strategy;
mod validation;
mod versions;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// What the schemas of a definition are refused for.
#[must_use]
pub fn definition_schema_errors(definition: &Value) -> ErrorList {
    versions::schemas(definition, None)
}

/// Whether a group belongs to the Kubernetes project, so that its kinds need an approval.
#[must_use]
pub fn is_protected_group(group: &str) -> bool {
    validation::is_protected(group)
}

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
