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
        resource_name(&mut errors, name, &at);
        amount_of(&mut errors, name, amount, &at);
    }
    for scope in tree::texts(quota, "spec.scopes") {
        if !SCOPES.contains(&scope) {
            let scopes = tree::get(quota, "spec.scopes");
            errors.push(field::invalid(
                &path.child("scopes"),
                scopes,
                "unsupported scope",
            ));
        }
    }
    let expressions = tree::list(quota, "spec.scopeSelector.matchExpressions");
    // Upstream names the list, not the expression in it.
    let at = path.child("scopeSelector.matchExpressions");
    for expression in expressions {
        scope_expression(&mut errors, expression, &at);
    }
    errors
}

/// `ValidateResourceQuotaResourceName`. Upstream refuses an unknown name twice.
fn resource_name(errors: &mut ErrorList, name: &str, path: &Path) {
    errors.check(path, name, names::is_qualified_name(name));
    let huge_pages = ["hugepages-", "requests.hugepages-"];
    let is_huge_pages = huge_pages.iter().any(|prefix| name.starts_with(prefix));
    if name.contains('/') || is_huge_pages || STANDARD.contains(&name) {
        return;
    }
    for detail in [
        "must be a standard resource type or fully qualified",
        "must be a standard resource for quota",
    ] {
        errors.push(field::invalid(path, name, detail));
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
    if !SCOPES.contains(&scope) {
        let at = path.child("scopeName");
        errors.push(field::invalid(&at, scope, "unsupported scope"));
    }
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
    checks::immutable(&mut errors, new, old, "spec.scopes");
    errors
}
