//! Validation of API services.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks;

/// Requests for other servers' groups are not passed on, so there is nothing that such a service could be for.
const NOT_AGGREGATED: &str = "this server does not aggregate the APIs of other servers yet: only groups that it serves itself can be registered";

pub(super) fn validate(service: &Value) -> ErrorList {
    let mut errors = form(service);
    if tree::has(service, "spec.service") {
        let path = Path::new("spec").child("service");
        errors.push(field::forbidden(&path, NOT_AGGREGATED));
    }
    errors
}

/// Upstream's rules (`kube-aggregator/pkg/apis/apiregistration/validation`).
fn form(service: &Value) -> ErrorList {
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

/// One that came with a datastore of K3s may stay and be changed, but not be pointed to another server.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let service = |object| tree::get(object, "spec.service");
    if service(new) == service(old) {
        form(new)
    } else {
        validate(new)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(name: &str, group: &str, reference: Option<&str>) -> Value {
        let mut object = json!({"metadata": {"name": name}, "spec": {"group": group, "version": "v1",
            "groupPriorityMinimum": 100, "versionPriority": 10}});
        if let Some(name) = reference {
            let reference = json!({"namespace": "kube-system", "name": name});
            tree::set(&mut object, "spec.service", reference);
        }
        object
    }

    #[test]
    fn only_local_services_are_taken() {
        assert!(validate(&service("v1.", "", None)).is_empty());
        assert!(validate(&service("v1.a.example", "a.example", None)).is_empty());
        assert_eq!(validate(&service("v1.b", "a.example", None)).len(), 1);
        let remote = |name| service("v1.a.example", "a.example", Some(name));
        let errors = validate(&remote("metrics-server"));
        let text = errors.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(text, [format!("spec.service: Forbidden: {NOT_AGGREGATED}")]);
    }

    #[test]
    fn one_that_is_stored_may_stay_and_not_be_pointed_elsewhere() {
        let local = service("v1.a.example", "a.example", None);
        let remote = |name| service("v1.a.example", "a.example", Some(name));
        assert!(validate_update(&remote("m"), &remote("m")).is_empty());
        assert!(validate_update(&local, &remote("m")).is_empty());
        assert_eq!(validate_update(&remote("m"), &local).len(), 1);
        assert_eq!(validate_update(&remote("n"), &remote("m")).len(), 1);
    }
}
