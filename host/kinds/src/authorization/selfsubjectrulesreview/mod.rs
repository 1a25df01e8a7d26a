//! Self subject rules reviews, answered and never stored.

mod validation;

use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::KindRules;

/// Rules of `authorization.k8s.io/v1` `SelfSubjectRulesReview`.
pub(crate) struct SelfSubjectRulesReview;

impl KindRules for SelfSubjectRulesReview {
    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }
}
