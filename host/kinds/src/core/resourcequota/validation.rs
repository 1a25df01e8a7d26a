//! Validation of resource quotas.

use std::collections::BTreeSet;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::core::podspec::validation::resource_names;
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
/// Scopes that no object is in at once.
const CONFLICTING: [[&str; 2]; 2] = [
    ["BestEffort", "NotBestEffort"],
    ["NotTerminating", "Terminating"],
];
/// Compute resources that a quota of pods in a scope bounds.
const COMPUTE: [&str; 6] = [
    "cpu",
    "limits.cpu",
    "limits.memory",
    "memory",
    "requests.cpu",
    "requests.memory",
];

pub(super) fn validate(quota: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let spec = tree::get(quota, "spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    amounts(&mut errors, spec, "hard", &path);
    let scopes = tree::texts(spec, "scopes");
    let at = path.child("scopes");
    let shown = tree::get(spec, "scopes");
    for scope in &scopes {
        if !SCOPES.contains(scope) {
            errors.push(field::invalid(&at, shown, "unsupported scope"));
        }
        bounds_fit(&mut errors, spec, scope, (&at, shown));
    }
    conflicts(&mut errors, spec, &scopes, &at);
    let expressions = tree::list(spec, "scopeSelector.matchExpressions");
    // Upstream names the list, not the expression in it.
    let within = path.child("scopeSelector.matchExpressions");
    let selector = tree::get(spec, "scopeSelector");
    for expression in expressions {
        let scope = tree::text(expression, "scopeName");
        if !SCOPES.contains(&scope) {
            let at = within.child("scopeName");
            errors.push(field::invalid(&at, scope, "unsupported scope"));
        }
        bounds_fit(&mut errors, spec, scope, (&within, selector));
        scope_expression(&mut errors, expression, &within);
    }
    let named = expressions.iter().map(|one| tree::text(one, "scopeName"));
    conflicts(&mut errors, spec, &named.collect::<Vec<_>>(), &at);
    errors
}

/// Validates one map of amounts of `holder`.
fn amounts(errors: &mut ErrorList, holder: &Value, list: &str, path: &Path) {
    for (name, amount) in tree::map(holder, list) {
        let at = path.child(list).key(name);
        resource_names::quota_name(errors, name, &at);
        amount_of(errors, name, amount, &at);
    }
}

/// Each resource that the quota bounds is one that objects in the scope use.
fn bounds_fit(
    errors: &mut ErrorList,
    spec: &Value,
    scope: &str,
    (path, shown): (&Path, Option<&Value>),
) {
    for name in tree::map(spec, "hard").keys() {
        if resource_names::is_of_quotas(name) && !is_used_in(scope, name) {
            let detail = "unsupported scope applied to resource";
            errors.push(field::invalid(path, shown, detail));
        }
    }
}

/// `IsResourceQuotaScopeValidForResource`.
fn is_used_in(scope: &str, resource: &str) -> bool {
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => {
            matches!(resource, "persistentvolumeclaims" | "requests.storage")
        }
        scope if SCOPES.contains(&scope) => resource == "pods" || COMPUTE.contains(&resource),
        _ => true,
    }
}

/// Upstream shows the list of scopes also where the selector has those that conflict.
fn conflicts(errors: &mut ErrorList, spec: &Value, scopes: &[&str], path: &Path) {
    for pair in CONFLICTING {
        if pair.iter().all(|scope| scopes.contains(scope)) {
            let shown = tree::get(spec, "scopes");
            errors.push(field::invalid(path, shown, "conflicting scopes"));
        }
    }
}

/// Scopes that an object has or has not.
const EXISTING: [&str; 5] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "Terminating",
];

/// `validateScopedResourceSelectorRequirement`
fn scope_expression(errors: &mut ErrorList, expression: &Value, path: &Path) {
    let scope = tree::text(expression, "scopeName");
    let only_exists = EXISTING.contains(&scope);
    if only_exists && tree::text(expression, "operator") != "Exists" {
        let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
        let operator = tree::text(expression, "operator");
        errors.push(field::invalid(&path.child("operator"), operator, detail));
    }
    let values = path.child("values");
    let has_values = !tree::list(expression, "values").is_empty();
    match tree::text(expression, "operator") {
        "In" | "NotIn" if !has_values => {
            let detail =
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            errors.push(field::required(&values, detail));
        }
        "Exists" | "DoesNotExist" if has_values => {
            let found = tree::get(expression, "values");
            let detail =
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            errors.push(field::invalid(&values, found, detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        operator => {
            let at = path.child("operator");
            errors.push(field::invalid(
                &at,
                operator,
                "not a valid selector operator",
            ));
        }
    }
}

/// Scopes decide what has been counted, so they do not change.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    let [after, before] =
        [new, old].map(|quota| BTreeSet::from_iter(tree::texts(quota, "spec.scopes")));
    if after != before {
        let scopes = tree::get(new, "spec.scopes");
        errors.push(field::immutable(&Path::new("spec.scopes"), scopes));
    }
    errors
}

/// What is counted has the names and amounts that a bound has.
pub(super) fn validate_status_update(new: &Value, _: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let status = tree::get(new, "status").unwrap_or(&Value::Null);
    for list in ["hard", "used"] {
        amounts(&mut errors, status, list, &Path::new("status"));
    }
    errors
}
