//! Resource claim templates.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `resource.k8s.io/v1` `ResourceClaimTemplate`.
pub(crate) struct ResourceClaimTemplate;

impl KindRules for ResourceClaimTemplate {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }
}
