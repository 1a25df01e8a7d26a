//! Health of components; read only and deprecated.

mod columns;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `v1` `ComponentStatus`.
pub(crate) struct ComponentStatus;

impl KindRules for ComponentStatus {
    columns!();
}
