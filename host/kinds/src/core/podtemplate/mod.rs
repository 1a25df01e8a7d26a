//! Stored pod templates.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `v1` `PodTemplate`.
pub(crate) struct PodTemplate;

impl KindRules for PodTemplate {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn generation(&self) -> Generation {
        Generation::Content(&["template"])
    }
}
