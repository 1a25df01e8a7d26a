//! Validation of events.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::Check;

/// An event lives in the namespace of its object; one about a cluster object in `default` or `kube-system`.
pub(super) fn validate(event: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("involvedObject.namespace");
    let namespace = tree::text(event, "metadata.namespace");
    let target = tree::text(event, "involvedObject.namespace");
    if target.is_empty() {
        if !matches!(namespace, "" | "default" | "kube-system") {
            errors.push(field::invalid(
                &path,
                target,
                "does not match event.namespace",
            ));
        }
    } else if target != namespace {
        errors.push(field::invalid(
            &path,
            target,
            "does not match event.namespace",
        ));
    }
    if !namespace.is_empty() {
        errors.check(
            &Path::new("namespace"),
            namespace,
            names::is_dns1123_label(namespace),
        );
    }
    errors
}
