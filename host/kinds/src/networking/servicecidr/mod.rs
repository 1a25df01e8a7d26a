//! Service CIDRs.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `networking.k8s.io/v1` `ServiceCIDR`.
pub(crate) struct ServiceCIDR;

impl KindRules for ServiceCIDR {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn has_status(&self) -> bool {
        true
    }

    fn generation(&self) -> Generation {
        Generation::Spec
    }
}
