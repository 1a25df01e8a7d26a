//! Token reviews, answered and never stored.

mod validation;

use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::KindRules;

/// Rules of `authentication.k8s.io/v1` `TokenReview`.
pub(crate) struct TokenReview;

impl KindRules for TokenReview {
    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }
}
