//! Validation of API services.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks;

pub(super) fn validate(service: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(service, "spec").unwrap_or(&Value::Null);
    let (group, version) = (tree::text(spec, "group"), tree::text(spec, "version"));
    let name = tree::text(service, "metadata.name");
    let expected = format!("{version}.{group}");
    // The legacy group has no name, and its service ends in the dot.
    if name != expected {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {expected:?}");
        errors.push(field::invalid(&Path::new("metadata.name"), name, detail));
    }
    checks::required(&mut errors, spec, "version", &path, "");
    for (name, high) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let number = tree::int(spec, name).unwrap_or(0);
        if number <= 0 || number > high {
            let detail = format!("must be positive and less than {high}");
            errors.push(field::invalid(&path.child(name), number, detail));
        }
    }
    match tree::get(spec, "service") {
        None => {
            for name in ["caBundle", "insecureSkipTLSVerify"] {
                if tree::has(spec, name) && tree::get(spec, name) != Some(&Value::Bool(false)) {
                    let detail = "local APIServices may not have a caBundle";
                    errors.push(field::invalid(
                        &path.child(name),
                        tree::get(spec, name),
                        detail,
                    ));
                }
            }
        }
        Some(reference) => {
            for name in ["namespace", "name"] {
                checks::required(&mut errors, reference, name, &path.child("service"), "");
            }
            if tree::flag(spec, "insecureSkipTLSVerify") && tree::has(spec, "caBundle") {
                let detail = "may not be true if caBundle is present";
                errors.push(field::invalid(
                    &path.child("insecureSkipTLSVerify"),
                    true,
                    detail,
                ));
            }
        }
    }
    errors
}

pub(super) fn validate_update(new: &Value, _old: &Value) -> ErrorList {
    validate(new)
}
