//! Validation of resource quotas.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};
use crate::core::podspec::validation::resources::amount_of;

const SCOPES: [&str; 7] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];
/// Resources without a domain that a quota may count.
const STANDARD: [&str; 20] = [
    "configmaps",
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
    "storage",
];

pub(super) fn validate(quota: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    for (name, amount) in tree::map(quota, "spec.hard") {
        let at = path.child("hard").key(name);
        errors.check(&at, name, names::is_qualified_name(name));
        let huge = ["hugepages-", "requests.hugepages-"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        if !name.contains('/') && !huge && !STANDARD.contains(&name.as_str()) {
            errors.push(field::invalid(
                &at,
                name,
                "must be a standard resource type or fully qualified",
            ));
            errors.push(field::invalid(
                &at,
                name,
                "must be a standard resource for quota",
            ));
        }
        amount_of(&mut errors, name, amount, &at);
    }
    for scope in tree::texts(quota, "spec.scopes") {
        if !SCOPES.contains(&scope) {
            let detail = "unsupported scope";
            errors.push(field::invalid(
                &path.child("scopes"),
                tree::get(quota, "spec.scopes"),
                detail,
            ));
        }
    }
    for (index, expression) in tree::list(quota, "spec.scopeSelector.matchExpressions")
        .iter()
        .enumerate()
    {
        let at = path.child("scopeSelector.matchExpressions").index(index);
        let scope = tree::text(expression, "scopeName");
        if !SCOPES.contains(&scope) {
            errors.push(field::invalid(
                &at.child("scopeName"),
                scope,
                "unsupported scope",
            ));
        }
        let values = tree::list(expression, "values").len();
        match tree::text(expression, "operator") {
            "In" | "NotIn" if values == 0 => {
                let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.push(field::required(&at.child("values"), detail));
            }
            "Exists" | "DoesNotExist" if values != 0 => {
                let detail = "must be no value when `operator` is 'Exists' or 'DoesNotExist' for scope selector";
                errors.push(field::invalid(
                    &at.child("values"),
                    tree::get(expression, "values"),
                    detail,
                ));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            operator => errors.push(field::invalid(
                &at.child("operator"),
                operator,
                "not a valid selector operator",
            )),
        }
    }
    errors
}

/// Scopes decide what has been counted, so they do not change.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    checks::immutable(&mut errors, new, old, "spec.scopes");
    errors
}
