//! Nodes.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};
use crate::tree;

/// Rules of `v1` `Node`.
pub(crate) struct Node;

impl KindRules for Node {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn has_status(&self) -> bool {
        true
    }

    fn fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![("spec.unschedulable", tree::flag(object, "spec.unschedulable").to_string())]
    }
}
