//! IP addresses, one per allocated cluster IP.

mod columns;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, NameRule, columns};

/// Rules of `networking.k8s.io/v1` `IPAddress`.
pub(crate) struct IPAddress;

impl KindRules for IPAddress {
    columns!();

    fn name_rule(&self) -> NameRule {
        NameRule::IpAddress
    }
}
