//! Validating admission policy bindings.

mod columns;
mod defaults;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `admissionregistration.k8s.io/v1` `ValidatingAdmissionPolicyBinding`.
pub(crate) struct ValidatingAdmissionPolicyBinding;

impl KindRules for ValidatingAdmissionPolicyBinding {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn generation(&self) -> Generation {
        Generation::Spec
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }
}
