//! Validation of mutating admission policies.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::admissionregistration::expressions::Scope;
use crate::admissionregistration::policy;
use crate::checks;

pub(super) fn validate(policy: &Value) -> ErrorList {
    validate_with(policy, None)
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    validate_with(new, Some(old))
}

fn validate_with(policy: &Value, old: Option<&Value>) -> ErrorList {
    let mut errors = ErrorList::new();
    policy::head(&mut errors, policy, old, true);
    let variables = policy::variables(&mut errors, policy);
    let scope = Scope {
        params: policy::has_params(policy),
        authorizer: true,
        variables: Some(&variables),
        patches: true,
    };
    let path = Path::new("spec");
    let mutations = tree::list(policy, "spec.mutations");
    if mutations.is_empty() {
        let detail = "mutations must contain at least one item";
        errors.push(field::required(&path.child("mutations"), detail));
    }
    for (index, mutation) in mutations.iter().enumerate() {
        if errors.is_full() {
            break;
        }
        let at = path.child("mutations").index(index);
        self::mutation(&mut errors, mutation, scope, &at);
    }
    let spec = tree::get(policy, "spec").unwrap_or(&Value::Null);
    let policies = ["IfNeeded", "Never"];
    checks::required_one_of(&mut errors, spec, "reinvocationPolicy", &path, &policies);
    errors
}

fn mutation(errors: &mut ErrorList, mutation: &Value, scope: Scope<'_>, path: &Path) {
    let kinds = ["ApplyConfiguration", "JSONPatch"];
    checks::required_one_of(errors, mutation, "patchType", path, &kinds);
    let kind = tree::text(mutation, "patchType");
    let (own, other, result) = match kind {
        "JSONPatch" => ("jsonPatch", "applyConfiguration", "list(JSONPatch)"),
        "ApplyConfiguration" => ("applyConfiguration", "jsonPatch", "Object"),
        _ => return,
    };
    let at = path.child(own);
    match tree::get(mutation, own) {
        None => {
            let detail = format!("must be specified when patchType is {kind}");
            errors.push(field::required(&at, detail));
        }
        Some(patch) => {
            let expression = tree::text(patch, "expression").trim();
            let at = at.child("expression");
            if expression.is_empty() {
                errors.push(field::required(&at, ""));
            } else {
                scope.compile(errors, (expression, expression), &[result], &at);
            }
        }
    }
    if tree::get(mutation, other).is_some() {
        let detail = format!("must not be specified when patchType is {kind}");
        let value = format!("{{{other}}}");
        errors.push(field::invalid(&path.child(other), value, detail));
    }
}
