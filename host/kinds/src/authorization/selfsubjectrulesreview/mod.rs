//! Self subject rules reviews, answered and never stored.

use crate::rules::KindRules;

/// Rules of `authorization.k8s.io/v1` `SelfSubjectRulesReview`.
pub(crate) struct SelfSubjectRulesReview;

impl KindRules for SelfSubjectRulesReview {}
