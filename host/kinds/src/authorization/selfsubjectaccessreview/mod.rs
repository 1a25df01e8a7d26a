//! Self subject access reviews, answered and never stored.

mod validation;

use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::KindRules;

/// Rules of `authorization.k8s.io/v1` `SelfSubjectAccessReview`.
pub(crate) struct SelfSubjectAccessReview;

impl KindRules for SelfSubjectAccessReview {
    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }
}
