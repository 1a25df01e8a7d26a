//! Token reviews, answered and never stored.

use crate::rules::KindRules;

/// Rules of `authentication.k8s.io/v1` `TokenReview`.
pub(crate) struct TokenReview;

impl KindRules for TokenReview {}
