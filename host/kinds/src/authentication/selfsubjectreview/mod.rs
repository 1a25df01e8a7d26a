//! Self subject reviews, answered and never stored.

use crate::rules::KindRules;

/// Rules of `authentication.k8s.io/v1` `SelfSubjectReview`.
pub(crate) struct SelfSubjectReview;

impl KindRules for SelfSubjectReview {}
