//! Validation of ingress classes.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks;

const MAX_CONTROLLER_BYTES: usize = 250;

pub(super) fn validate(class: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let controller = tree::text(class, "spec.controller");
    if controller.is_empty() {
        errors.push(field::required(&path.child("controller"), ""));
    } else if controller.len() > MAX_CONTROLLER_BYTES {
        errors.push(field::too_long(
            &path.child("controller"),
            MAX_CONTROLLER_BYTES,
        ));
    } else if !controller.contains('/') {
        let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        errors.push(field::invalid(
            &path.child("controller"),
            controller,
            detail,
        ));
    }
    if let Some(parameters) = tree::get(class, "spec.parameters") {
        let at = path.child("parameters");
        for name in ["kind", "name"] {
            checks::required(&mut errors, parameters, name, &at, "");
        }
        checks::required_one_of(
            &mut errors,
            parameters,
            "scope",
            &at,
            &["Cluster", "Namespace"],
        );
        let namespaced = tree::text(parameters, "scope") == "Namespace";
        if namespaced && !tree::has(parameters, "namespace") {
            errors.push(field::required(
                &at.child("namespace"),
                "`parameters.scope` is set to 'Namespace'",
            ));
        }
        if !namespaced && tree::has(parameters, "namespace") {
            errors.push(field::forbidden(
                &at.child("namespace"),
                "`parameters.scope` is set to 'Cluster'",
            ));
        }
    }
    errors
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    checks::immutable(&mut errors, new, old, "spec.controller");
    errors
}
