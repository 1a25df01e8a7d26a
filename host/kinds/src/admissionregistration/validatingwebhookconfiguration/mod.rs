//! Validating webhook configurations.

mod columns;
mod defaults;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `admissionregistration.k8s.io/v1` `ValidatingWebhookConfiguration`.
pub(crate) struct ValidatingWebhookConfiguration;

impl KindRules for ValidatingWebhookConfiguration {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn generation(&self) -> Generation {
        Generation::Content(&["webhooks"])
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }
}
