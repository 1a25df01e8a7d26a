//! Bindings of pods to nodes, written once and never stored.

mod validation;

use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::KindRules;

/// Rules of `v1` `Binding`.
pub(crate) struct Binding;

impl KindRules for Binding {
    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }
}
