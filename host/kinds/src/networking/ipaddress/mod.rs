//! IP addresses, one per allocated cluster IP.

mod columns;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::{KindRules, NameRule, columns};

/// Rules of `networking.k8s.io/v1` `IPAddress`.
pub(crate) struct IPAddress;

impl KindRules for IPAddress {
    columns!();

    fn name_rule(&self) -> NameRule {
        NameRule::IpAddress
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }

    fn validate_update(&self, new: &Value, old: &Value) -> ErrorList {
        validation::validate_update(new, old)
    }
}
