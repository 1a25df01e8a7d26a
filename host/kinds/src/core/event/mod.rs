//! Events.

pub(crate) mod columns;
pub(crate) mod convert;
mod defaults;
pub(crate) mod fields;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `v1` `Event`.
pub(crate) struct Event;

impl KindRules for Event {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        fields::fields(object)
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }
}
