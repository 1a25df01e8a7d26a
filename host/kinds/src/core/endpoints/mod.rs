//! Endpoints, the older form of endpoint slices.

mod columns;
mod defaults;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `v1` `Endpoints`.
pub(crate) struct Endpoints;

impl KindRules for Endpoints {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }
}
