//! Roles.

mod columns;
mod defaults;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::{KindRules, NameRule, columns};

/// Rules of `rbac.authorization.k8s.io/v1` `Role`.
pub(crate) struct Role;

impl KindRules for Role {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }
}
