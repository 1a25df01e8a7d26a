//! Services.

mod columns;
mod defaults;
mod port_validation;
mod transition;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use k3s_meta::tree;
use serde_json::Value;

use crate::rules::{KindRules, NameRule, columns};

/// Rules of `v1` `Service`.
pub(crate) struct Service;

impl KindRules for Service {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn has_status(&self) -> bool {
        true
    }

    fn name_rule(&self) -> NameRule {
        NameRule::Rfc1035Label
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![
            (
                "spec.clusterIP",
                tree::text(object, "spec.clusterIP").to_owned(),
            ),
            ("spec.type", tree::text(object, "spec.type").to_owned()),
        ]
    }

    fn prepare_update(&self, new: &mut Value, old: &Value) {
        tree::copy(new, old, "status");
        transition::apply(new, old);
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
