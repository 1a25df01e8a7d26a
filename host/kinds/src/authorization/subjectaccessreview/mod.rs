//! Subject access reviews, answered and never stored.

use crate::rules::KindRules;

/// Rules of `authorization.k8s.io/v1` `SubjectAccessReview`.
pub(crate) struct SubjectAccessReview;

impl KindRules for SubjectAccessReview {}
