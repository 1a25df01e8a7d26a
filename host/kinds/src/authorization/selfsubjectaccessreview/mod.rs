//! Self subject access reviews, answered and never stored.

use crate::rules::KindRules;

/// Rules of `authorization.k8s.io/v1` `SelfSubjectAccessReview`.
pub(crate) struct SelfSubjectAccessReview;

impl KindRules for SelfSubjectAccessReview {}
