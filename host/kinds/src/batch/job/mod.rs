//! Jobs.

mod columns;
pub(crate) mod defaults;
pub(crate) mod strategy;
pub(crate) mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use k3s_meta::tree;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `batch/v1` `Job`.
pub(crate) struct Job;

impl KindRules for Job {
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

    fn fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![(
            "status.successful",
            tree::int(object, "status.succeeded")
                .unwrap_or(0)
                .to_string(),
        )]
    }

    fn prepare_create(&self, object: &mut Value) {
        strategy::prepare_create(object);
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }

    fn validate_update(&self, new: &Value, old: &Value) -> ErrorList {
        validation::validate_update(new, old)
    }

    fn validate_status_update(&self, new: &Value, old: &Value) -> ErrorList {
        validation::validate_status_update(new, old)
    }

    fn warnings(&self, object: &Value) -> Vec<String> {
        validation::warnings(object)
    }
}
