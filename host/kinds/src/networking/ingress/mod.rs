//! Ingresses.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `networking.k8s.io/v1` `Ingress`.
pub(crate) struct Ingress;

impl KindRules for Ingress {
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
