//! Services.

mod columns;
mod defaults;
mod transition;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, NameRule, columns};
use crate::tree;

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
            ("spec.clusterIP", tree::text(object, "spec.clusterIP").to_owned()),
            ("spec.type", tree::text(object, "spec.type").to_owned()),
        ]
    }

    fn prepare_update(&self, new: &mut Value, old: &Value) {
        tree::copy(new, old, "status");
        transition::apply(new, old);
    }
}
