//! Custom resource definitions.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `apiextensions.k8s.io/v1` `CustomResourceDefinition`.
pub(crate) struct CustomResourceDefinition;

impl KindRules for CustomResourceDefinition {
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
