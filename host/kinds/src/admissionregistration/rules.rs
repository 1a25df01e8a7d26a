//! Which requests a webhook or a policy is for.

use std::collections::HashSet;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check, Unique};

const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
/// What a mutating policy may be for: there is nothing to mutate in a deletion.
const MUTATING_OPERATIONS: [&str; 4] = ["*", "CONNECT", "CREATE", "UPDATE"];
pub(super) const MATCH_POLICIES: [&str; 2] = ["Equivalent", "Exact"];
const SCOPES: [&str; 3] = ["*", "Cluster", "Namespaced"];

/// One rule with its operations.
pub(super) fn validate(errors: &mut ErrorList, rule: &Value, path: &Path) {
    filled(errors, rule, "operations", path, "operations");
    for (index, operation) in tree::texts(rule, "operations").into_iter().enumerate() {
        if !OPERATIONS.contains(&operation) {
            let at = path.child("operations").index(index);
            errors.push(field::not_supported(&at, operation, &OPERATIONS));
        }
    }
    filled(errors, rule, "apiGroups", path, "API groups");
    filled(errors, rule, "apiVersions", path, "API versions");
    for (index, version) in tree::texts(rule, "apiVersions").into_iter().enumerate() {
        if version.is_empty() {
            errors.push(field::required(&path.child("apiVersions").index(index), ""));
        }
    }
    resources(errors, rule, &path.child("resources"));
    checks::supported(errors, rule, "scope", path, &SCOPES);
}

/// A list with something in it, and nothing beside `*`.
fn filled(errors: &mut ErrorList, rule: &Value, name: &str, path: &Path, others: &str) {
    let values = tree::texts(rule, name);
    let at = path.child(name);
    if values.is_empty() {
        errors.push(field::required(&at, ""));
    }
    if values.len() > 1 && values.contains(&"*") {
        let detail = format!("if '*' is present, must not specify other {others}");
        errors.push(field::invalid(&at, tree::get(rule, name), detail));
    }
}

fn resources(errors: &mut ErrorList, rule: &Value, path: &Path) {
    let resources = tree::texts(rule, "resources");
    if resources.is_empty() {
        errors.push(field::required(path, ""));
    }
    let (mut all_of, mut everywhere) = (HashSet::new(), HashSet::new());
    let mut has_plain = false;
    for (index, resource) in resources.iter().enumerate() {
        let at = path.index(index);
        if resource.is_empty() {
            errors.push(field::required(&at, ""));
            continue;
        }
        let Some((name, sub)) = resource.split_once('/') else {
            // The last one without a subresource counts, as upstream has it.
            has_plain = *resource != "*";
            continue;
        };
        if all_of.contains(name) {
            let detail = format!("if '{name}/*' is present, must not specify {resource}");
            errors.push(field::invalid(&at, *resource, detail));
        }
        if everywhere.contains(sub) {
            let detail = format!("if '*/{sub}' is present, must not specify {resource}");
            errors.push(field::invalid(&at, *resource, detail));
        }
        if sub == "*" {
            all_of.insert(name);
        }
        if name == "*" {
            everywhere.insert(sub);
        }
    }
    let mut refuse = |refused: bool, detail: &str| {
        if refused {
            let value = tree::get(rule, "resources");
            errors.push(field::invalid(path, value, detail));
        }
    };
    refuse(
        resources.len() > 1 && resources.contains(&"*/*"),
        "if '*/*' is present, must not specify other resources",
    );
    refuse(
        has_plain && resources.contains(&"*"),
        "if '*' is present, must not specify other resources without subresources",
    );
}

/// The match resources at `path` of a policy or a binding.
pub(super) fn match_resources(errors: &mut ErrorList, matches: &Value, path: &Path) {
    checks::supported(errors, matches, "matchPolicy", path, &MATCH_POLICIES);
    for name in ["namespaceSelector", "objectSelector"] {
        if let Some(selector) = tree::get(matches, name) {
            errors.append(checks::label_selector(selector, &path.child(name)));
        }
    }
    for list in ["resourceRules", "excludeResourceRules"] {
        for (index, rule) in tree::list(matches, list).iter().enumerate() {
            named(errors, rule, &path.child(list).index(index));
        }
    }
}

fn named(errors: &mut ErrorList, rule: &Value, path: &Path) {
    let mut seen = Unique::new();
    for (index, name) in tree::texts(rule, "resourceNames").into_iter().enumerate() {
        let at = path.child("resourceNames").index(index);
        errors.check(&at, name, names::is_path_segment(name));
        seen.insert(errors, name, &at);
    }
    validate(errors, rule, path);
}

/// The operations of the resource rules at `path` of a mutating policy or its binding.
pub(super) fn mutating_operations(errors: &mut ErrorList, matches: &Value, path: &Path) {
    let at = path.child("resourceRules").child("operations");
    let rules = tree::list(matches, "resourceRules").iter();
    for operation in rules.flat_map(|rule| tree::texts(rule, "operations")) {
        if !MUTATING_OPERATIONS.contains(&operation) {
            let supported = &MUTATING_OPERATIONS;
            errors.push(field::not_supported(&at, operation, supported));
        }
    }
}
