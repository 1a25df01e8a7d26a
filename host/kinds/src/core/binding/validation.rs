//! Validation of bindings (`ValidatePodBinding`).

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks;

/// Errors of a binding of a pod to a node.
#[must_use]
pub fn validate(binding: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("target");
    let target = tree::get(binding, "target").unwrap_or(&Value::Null);
    let kind = tree::text(target, "kind");
    if !matches!(kind, "" | "Node") {
        errors.push(field::not_supported(
            &path.child("kind"),
            kind,
            &["Node", "<empty>"],
        ));
    }
    checks::required(&mut errors, target, "name", &path, "");
    errors
}
