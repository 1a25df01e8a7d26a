//! Config maps.

mod columns;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `v1` `ConfigMap`.
pub(crate) struct ConfigMap;

impl KindRules for ConfigMap {
    columns!();
}
