//! Leases.

mod columns;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `coordination.k8s.io/v1` `Lease`.
pub(crate) struct Lease;

impl KindRules for Lease {
    columns!();

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }
}
