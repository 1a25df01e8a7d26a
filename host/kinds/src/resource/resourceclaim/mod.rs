//! Resource claims.

mod columns;
pub(crate) mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `resource.k8s.io/v1` `ResourceClaim`.
pub(crate) struct ResourceClaim;

impl KindRules for ResourceClaim {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn has_status(&self) -> bool {
        true
    }
}
