//! Validating admission policies.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `admissionregistration.k8s.io/v1` `ValidatingAdmissionPolicy`.
pub(crate) struct ValidatingAdmissionPolicy;

impl KindRules for ValidatingAdmissionPolicy {
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
