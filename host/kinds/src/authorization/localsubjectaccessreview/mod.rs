//! Subject access reviews within one namespace, answered and never stored.

mod validation;

use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::KindRules;

/// Rules of `authorization.k8s.io/v1` `LocalSubjectAccessReview`.
pub(crate) struct LocalSubjectAccessReview;

impl KindRules for LocalSubjectAccessReview {
    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }
}
