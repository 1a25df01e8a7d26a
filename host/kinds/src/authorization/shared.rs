//! What the reviews of access have in common.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

/// Exactly one of the two kinds of attributes.
pub(super) fn attributes(review: &Value) -> ErrorList {
    let path = Path::new("spec.resourceAttributes");
    let [resource, url] = ["resourceAttributes", "nonResourceAttributes"]
        .map(|name| tree::get(review, &format!("spec.{name}")).is_some());
    match (resource, url) {
        (true, true) => {
            let detail = "cannot be specified in combination with resourceAttributes";
            field::invalid(
                &Path::new("spec.nonResourceAttributes"),
                tree::get(review, "spec.nonResourceAttributes"),
                detail,
            )
            .into()
        }
        (false, false) => {
            let detail =
                "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            field::invalid(&path, &Value::Null, detail).into()
        }
        _ => ErrorList::new(),
    }
}

/// A review has to name a user or group.
pub(super) fn subject(review: &Value) -> ErrorList {
    if tree::has(review, "spec.user") || tree::has(review, "spec.groups") {
        return ErrorList::new();
    }
    field::invalid(
        &Path::new("spec.user"),
        "",
        "at least one of user or group must be specified",
    )
    .into()
}
