//! Token requests, the body of `serviceaccounts/token`.

mod defaults;
mod validation;

use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::KindRules;

/// Rules of `authentication.k8s.io/v1` `TokenRequest`.
pub(crate) struct TokenRequest;

impl KindRules for TokenRequest {
    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }
}
