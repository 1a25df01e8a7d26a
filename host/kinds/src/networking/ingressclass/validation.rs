//! Validation of ingress classes.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

const MAX_CONTROLLER_BYTES: usize = 250;

pub(super) fn validate(class: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let controller = tree::text(class, "spec.controller");
    let at = path.child("controller");
    if controller.len() > MAX_CONTROLLER_BYTES {
        errors.push(field::too_long(&at, MAX_CONTROLLER_BYTES));
    }
    checks::domain_prefixed_path(&mut errors, controller, &at);
    if let Some(found) = tree::get(class, "spec.parameters") {
        parameters(&mut errors, found, &path.child("parameters"));
    }
    errors
}

fn parameters(errors: &mut ErrorList, found: &Value, path: &Path) {
    if let Some(group) = tree::get(found, "apiGroup").and_then(Value::as_str) {
        let outcome = names::is_dns1123_subdomain(group);
        errors.check(&path.child("apiGroup"), group, outcome);
    }
    for name in ["kind", "name"] {
        checks::required_segment(errors, found, name, path);
    }
    let at = path.child("namespace");
    let namespace = tree::get(found, "namespace").and_then(Value::as_str);
    match (tree::get(found, "scope").and_then(Value::as_str), namespace) {
        (None, _) => errors.push(field::required(&path.child("scope"), "")),
        (Some("Namespace"), None) => {
            let detail = "`parameters.scope` is set to 'Namespace'";
            errors.push(field::required(&at, detail));
        }
        (Some("Namespace"), Some(namespace)) => {
            errors.check(&at, namespace, names::is_dns1123_label(namespace));
        }
        (Some("Cluster"), Some(_)) => {
            let detail = "`parameters.scope` is set to 'Cluster'";
            errors.push(field::forbidden(&at, detail));
        }
        (Some("Cluster"), None) => {}
        (Some(scope), _) => {
            let supported = ["Cluster", "Namespace"];
            errors.push(field::not_supported(
                &path.child("scope"),
                scope,
                &supported,
            ));
        }
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    checks::immutable_text(&mut errors, new, old, "spec.controller");
    errors.append(validate(new));
    errors
}
