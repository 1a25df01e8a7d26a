//! Validation of subject access reviews within one namespace.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::authorization::shared;

pub(super) fn validate(review: &Value) -> ErrorList {
    let mut errors = shared::of_subject(review);
    let detail = "must be empty except for namespace";
    errors.append(shared::metadata(review, &["namespace"], detail));
    let asked = tree::text(review, "spec.resourceAttributes.namespace");
    if tree::get(review, "spec.resourceAttributes").is_some()
        && asked != tree::text(review, "metadata.namespace")
    {
        let path = Path::new("spec.resourceAttributes.namespace");
        errors.push(field::invalid(
            &path,
            asked,
            "must match metadata.namespace",
        ));
    }
    if tree::get(review, "spec.nonResourceAttributes").is_some() {
        let path = Path::new("spec.nonResourceAttributes");
        let detail = "disallowed on this kind of request";
        errors.push(field::invalid(
            &path,
            tree::get(review, "spec.nonResourceAttributes"),
            detail,
        ));
    }
    errors
}
