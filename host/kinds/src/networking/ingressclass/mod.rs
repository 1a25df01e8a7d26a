//! Ingress classes.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `networking.k8s.io/v1` `IngressClass`.
pub(crate) struct IngressClass;

impl KindRules for IngressClass {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn generation(&self) -> Generation {
        Generation::Spec
    }
}
