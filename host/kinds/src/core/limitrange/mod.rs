//! Limit ranges.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `v1` `LimitRange`.
pub(crate) struct LimitRange;

impl KindRules for LimitRange {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }
}
