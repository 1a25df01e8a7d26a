//! Subject access reviews, answered and never stored.

mod validation;

use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::KindRules;

/// Rules of `authorization.k8s.io/v1` `SubjectAccessReview`.
pub(crate) struct SubjectAccessReview;

impl KindRules for SubjectAccessReview {
    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }
}
