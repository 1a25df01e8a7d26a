//! Events in their newer form.

mod columns;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `events.k8s.io/v1` `Event`.
pub(crate) struct Event;

impl KindRules for Event {
    columns!();

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        crate::core::event::fields::fields(object)
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }

    fn validate_update(&self, new: &Value, old: &Value) -> ErrorList {
        validation::validate_update(new, old)
    }
}
