//! Validation of what admission policies and their bindings have in common.

use k3s_cel::Type;
use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::expressions::{self, Scope};
use super::rules;
use crate::checks::{self, Check};
use crate::equality::semantic_eq;

/// Words that no variable has for a name (`celReserved`).
const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// What stands before the expressions of a policy's own: failure policy, parameters, what it matches, and
/// conditions, unless they are as in `old`.
pub(super) fn head(errors: &mut ErrorList, policy: &Value, old: Option<&Value>, mutating: bool) {
    let path = Path::new("spec");
    let spec = tree::get(policy, "spec").unwrap_or(&Value::Null);
    let policies = ["Fail", "Ignore"];
    checks::supported(errors, spec, "failurePolicy", &path, &policies);
    if let Some(kind) = tree::get(spec, "paramKind") {
        param_kind(errors, kind, &path.child("paramKind"));
    }
    let at = path.child("matchConstraints");
    match tree::get(spec, "matchConstraints") {
        None => errors.push(field::required(&at, "")),
        Some(matches) => {
            rules::match_resources(errors, matches, &at);
            if !tree::has(matches, "resourceRules") {
                errors.push(field::required(&at.child("resourceRules"), ""));
            }
            if mutating {
                rules::mutating_operations(errors, matches, &at);
            }
        }
    }
    let same = |name: &str| {
        old.is_some_and(|old| semantic_eq(tree::get(policy, name), tree::get(old, name)))
    };
    if !(same("spec.paramKind") && same("spec.matchConditions")) {
        expressions::match_conditions(errors, spec, has_params(policy), &path);
    }
}

/// Whether a policy has parameters, which its expressions may name.
pub(super) fn has_params(policy: &Value) -> bool {
    tree::get(policy, "spec.paramKind").is_some()
}

fn param_kind(errors: &mut ErrorList, kind: &Value, path: &Path) {
    param_version(
        errors,
        tree::text(kind, "apiVersion"),
        &path.child("apiVersion"),
    );
    let (name, at) = (tree::text(kind, "kind"), path.child("kind"));
    if name.is_empty() {
        errors.push(field::required(&at, ""));
    } else if let Some(texts) = joined(names::is_dns1035_label(&name.to_lowercase())) {
        let detail = format!("may have mixed case, but should otherwise match: {texts}");
        errors.push(field::invalid(&at, name, detail));
    }
}

fn param_version(errors: &mut ErrorList, version: &str, path: &Path) {
    let parts = match version.split_once('/') {
        _ if version == "/" => Some(("", "")),
        None => Some(("", version)),
        Some((_, rest)) if rest.contains('/') => None,
        Some(parts) => Some(parts),
    };
    let (group, label) = match (version, parts) {
        ("", _) => {
            errors.push(field::required(path, ""));
            return;
        }
        (_, None) => {
            let detail = format!("unexpected GroupVersion string: {version}");
            errors.push(field::invalid(path, version, detail));
            return;
        }
        (_, Some(parts)) => parts,
    };
    let wrong = joined(names::is_dns1123_subdomain(group));
    if let Some(detail) = wrong.filter(|_| !group.is_empty()) {
        errors.push(field::invalid(path, group, detail));
    }
    if label.is_empty() {
        let detail = "version must be specified";
        errors.push(field::invalid(path, version, detail));
    } else if let Some(detail) = joined(names::is_dns1035_label(label)) {
        errors.push(field::invalid(path, label, detail));
    }
}

/// What is wrong with a name as one text.
fn joined(outcome: names::Checked) -> Option<String> {
    let texts: Vec<String> = outcome.err().into_iter().flatten().collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

/// `variables` of a policy: their names and types.
pub(super) fn variables(errors: &mut ErrorList, policy: &Value) -> Vec<(String, Type)> {
    let mut known = Vec::new();
    for (index, variable) in tree::list(policy, "spec.variables").iter().enumerate() {
        if errors.is_full() {
            break;
        }
        let path = Path::new("spec.variables").index(index);
        let (name, at) = (tree::text(variable, "name"), path.child("name"));
        if name.trim().is_empty() {
            errors.push(field::required(&at, "name is not specified"));
        } else if !is_identifier(name) {
            let detail = "must be a valid CEL identifier";
            errors.push(field::invalid(&at, name, detail));
        }
        let expression = tree::text(variable, "expression");
        let at = path.child("expression");
        if expression.trim().is_empty() {
            errors.push(field::required(&at, "expression is not specified"));
            continue;
        }
        let scope = Scope {
            params: has_params(policy),
            authorizer: true,
            variables: Some(&known),
            patches: false,
        };
        let kind = scope.compile(errors, (expression, expression), &[], &at);
        known.push((name.to_owned(), kind));
    }
    known
}

fn is_identifier(name: &str) -> bool {
    let is_start = |it: char| it.is_ascii_alphabetic() || it == '_';
    name.starts_with(is_start)
        && name.chars().all(|it| is_start(it) || it.is_ascii_digit())
        && !RESERVED.contains(&name)
}

/// Validates what a binding of either policy has.
pub(super) fn binding(errors: &mut ErrorList, binding: &Value, mutating: bool) {
    let path = Path::new("spec");
    let spec = tree::get(binding, "spec").unwrap_or(&Value::Null);
    let (name, at) = (tree::text(spec, "policyName"), path.child("policyName"));
    if name.is_empty() {
        errors.push(field::required(&at, ""));
    } else {
        errors.check(&at, name, names::is_dns1123_subdomain(name));
    }
    if let Some(reference) = tree::get(spec, "paramRef") {
        param_ref(errors, reference, &path.child("paramRef"));
    }
    if let Some(matches) = tree::get(spec, "matchResources") {
        let at = path.child("matchResources");
        rules::match_resources(errors, matches, &at);
        if mutating {
            rules::mutating_operations(errors, matches, &at);
        }
    }
}

fn param_ref(errors: &mut ErrorList, reference: &Value, path: &Path) {
    const EXCLUSIVE: &str = "name and selector are mutually exclusive";
    let name = tree::text(reference, "name");
    let selector = tree::get(reference, "selector");
    if !name.is_empty() {
        let at = path.child("name");
        errors.check(&at, name, names::is_path_segment(name));
        if selector.is_some() {
            errors.push(field::forbidden(&at, EXCLUSIVE));
        }
    }
    if let Some(selector) = selector {
        let at = path.child("selector");
        errors.append(checks::label_selector(selector, &at));
        if !name.is_empty() {
            errors.push(field::forbidden(&at, EXCLUSIVE));
        }
    } else if name.is_empty() {
        let detail = "one of name or selector must be specified";
        errors.push(field::required(path, detail));
    }
    let actions = ["Deny", "Allow"];
    checks::required_one_of(errors, reference, "parameterNotFoundAction", path, &actions);
}
