//! Runtime classes.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `node.k8s.io/v1` `RuntimeClass`.
pub(crate) struct RuntimeClass;

impl KindRules for RuntimeClass {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }
}
