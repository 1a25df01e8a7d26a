//! Validation of subject access reviews.

use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::authorization::shared;

pub(super) fn validate(review: &Value) -> ErrorList {
    let mut errors = shared::of_subject(review);
    errors.append(shared::metadata(review, &[], "must be empty"));
    errors
}
