//! Secrets.

mod columns;
mod defaults;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use k3s_meta::tree;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `v1` `Secret`.
pub(crate) struct Secret;

impl KindRules for Secret {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![("type", tree::text(object, "type").to_owned())]
    }

    fn prepare_update(&self, new: &mut Value, old: &Value) {
        // An update that leaves the type out means the type it has.
        if tree::text(new, "type").is_empty() {
            tree::copy(new, old, "type");
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }

    fn validate_update(&self, new: &Value, old: &Value) -> ErrorList {
        validation::validate_update(new, old)
    }
}
