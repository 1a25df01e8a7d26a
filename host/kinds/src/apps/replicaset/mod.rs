//! Replica sets.

mod columns;
mod defaults;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use k3s_meta::tree;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `apps/v1` `ReplicaSet`.
pub(crate) struct ReplicaSet;

impl KindRules for ReplicaSet {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn has_status(&self) -> bool {
        true
    }

    fn status_keeps(&self) -> &'static [&'static str] {
        &["labels"]
    }

    fn generation(&self) -> Generation {
        Generation::Spec
    }

    fn fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![(
            "status.replicas",
            tree::int(object, "status.replicas")
                .unwrap_or(0)
                .to_string(),
        )]
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
