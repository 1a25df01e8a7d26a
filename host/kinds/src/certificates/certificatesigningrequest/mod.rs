//! Certificate signing requests.

pub mod approval;
mod columns;
pub(crate) mod defaults;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use k3s_meta::tree;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `certificates.k8s.io/v1` `CertificateSigningRequest`.
pub(crate) struct CertificateSigningRequest;

impl KindRules for CertificateSigningRequest {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn has_status(&self) -> bool {
        true
    }

    fn fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![(
            "spec.signerName",
            tree::text(object, "spec.signerName").to_owned(),
        )]
    }

    fn prepare_update(&self, new: &mut Value, old: &Value) {
        // The request is signed as it was made; only metadata may change.
        tree::copy(new, old, "spec");
        tree::copy(new, old, "status");
    }

    fn prepare_status_update(&self, new: &mut Value, old: &Value) {
        approval::keep_decision(new, old);
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }

    fn validate_update(&self, new: &Value, old: &Value) -> ErrorList {
        validation::validate_update(new, old)
    }

    fn validate_status_update(&self, new: &Value, old: &Value) -> ErrorList {
        validation::validate_status_update(new, old)
    }
}
