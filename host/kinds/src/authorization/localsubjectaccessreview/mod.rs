//! Subject access reviews within one namespace, answered and never stored.

use crate::rules::KindRules;

/// Rules of `authorization.k8s.io/v1` `LocalSubjectAccessReview`.
pub(crate) struct LocalSubjectAccessReview;

impl KindRules for LocalSubjectAccessReview {}
