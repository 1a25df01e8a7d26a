//! Service accounts.

mod columns;
mod validation;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `v1` `ServiceAccount`.
pub(crate) struct ServiceAccount;

impl KindRules for ServiceAccount {
    columns!();

    fn warnings(&self, object: &Value) -> Vec<String> {
        validation::warnings(object)
    }
}
