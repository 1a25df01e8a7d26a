//! Namespaces.

mod columns;
mod defaults;
pub mod finalize;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use k3s_meta::tree;
use serde_json::{Value, json};

use crate::rules::{KindRules, NameRule, columns};

/// Rules of `v1` `Namespace`.
pub(crate) struct Namespace;

impl KindRules for Namespace {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn has_status(&self) -> bool {
        true
    }

    fn name_rule(&self) -> NameRule {
        NameRule::Label
    }

    fn fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![
            (
                "status.phase",
                tree::text(object, "status.phase").to_owned(),
            ),
            ("name", tree::text(object, "metadata.name").to_owned()),
        ]
    }

    fn prepare_create(&self, object: &mut Value) {
        defaults::default(object);
        tree::set(object, "status", json!({"phase": "Active"}));
        finalize::add(object);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value) {
        // Finalizers of the spec go through `/finalize` alone.
        tree::copy(new, old, "spec.finalizers");
        tree::copy(new, old, "status");
    }

    fn validate_status_update(&self, new: &Value, old: &Value) -> ErrorList {
        validation::validate_status_update(new, old)
    }
}
