//! Validation of self subject rules reviews.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

pub(super) fn validate(review: &Value) -> ErrorList {
    if tree::has(review, "spec.namespace") {
        return ErrorList::new();
    }
    field::required(&Path::new("spec.namespace"), "no namespace on request").into()
}
