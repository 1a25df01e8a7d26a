//! Mutating admission policy bindings.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `admissionregistration.k8s.io/v1` `MutatingAdmissionPolicyBinding`.
pub(crate) struct MutatingAdmissionPolicyBinding;

impl KindRules for MutatingAdmissionPolicyBinding {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn generation(&self) -> Generation {
        Generation::Spec
    }
}
