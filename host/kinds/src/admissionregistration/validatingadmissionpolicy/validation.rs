//! Validation of validating admission policies.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::admissionregistration::expressions::Scope;
use crate::admissionregistration::policy;
use crate::checks::{self, Check, Unique};
use crate::conditions;
use crate::custom::jsonpath::JsonPath;

const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
const MAX_ANNOTATIONS: usize = 20;
const MAX_ANNOTATION_BYTES: usize = 5 * 1024;

pub(super) fn validate(policy: &Value) -> ErrorList {
    validate_with(policy, None)
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    validate_with(new, Some(old))
}

fn validate_with(policy: &Value, old: Option<&Value>) -> ErrorList {
    let mut errors = ErrorList::new();
    policy::head(&mut errors, policy, old, false);
    let variables = policy::variables(&mut errors, policy);
    let scope = Scope {
        params: policy::has_params(policy),
        authorizer: true,
        variables: Some(variables.as_slice()).filter(|_| tree::has(policy, "spec.variables")),
        patches: false,
    };
    if !tree::has(policy, "spec.validations") && !tree::has(policy, "spec.auditAnnotations") {
        let detail = "validations or auditAnnotations must contain at least one item";
        for name in ["validations", "auditAnnotations"] {
            errors.push(field::required(&Path::new("spec").child(name), detail));
        }
    }
    let validations = tree::list(policy, "spec.validations");
    for (index, validation) in validations.iter().enumerate() {
        if errors.is_full() {
            break;
        }
        let path = Path::new("spec.validations").index(index);
        self::validation(&mut errors, validation, scope, &path);
    }
    annotations(&mut errors, policy, scope);
    errors
}

fn validation(errors: &mut ErrorList, validation: &Value, scope: Scope<'_>, path: &Path) {
    let expression = tree::text(validation, "expression");
    let at = path.child("expression");
    if expression.trim().is_empty() {
        errors.push(field::required(&at, "expression is not specified"));
    } else {
        scope.compile(errors, (expression, expression), &["bool"], &at);
    }
    let text = tree::text(validation, "messageExpression");
    let at = path.child("messageExpression");
    if !text.is_empty() && text.trim().is_empty() {
        errors.push(field::invalid(&at, text, "must be non-empty if specified"));
    } else if !text.is_empty() {
        let scope = Scope {
            authorizer: false,
            ..scope
        };
        scope.compile(errors, (text, text), &["string"], &at);
    }
    let message = tree::text(validation, "message");
    let at = path.child("message");
    if !message.is_empty() && message.trim().is_empty() {
        let detail = "must be non-empty if specified";
        errors.push(field::invalid(&at, message, detail));
    } else if message.trim().contains(['\n', '\r']) {
        errors.push(field::invalid(&at, message, "must not contain line breaks"));
    }
    checks::supported(errors, validation, "reason", path, &REASONS);
}

fn annotations(errors: &mut ErrorList, policy: &Value, scope: Scope<'_>) {
    let path = Path::new("spec.auditAnnotations");
    let list = tree::list(policy, "spec.auditAnnotations");
    if list.len() > MAX_ANNOTATIONS {
        let detail = format!("must not have more than {MAX_ANNOTATIONS} auditAnnotations");
        let value = tree::get(policy, "spec.auditAnnotations");
        errors.push(field::invalid(&path, value, detail));
    }
    let name = tree::text(policy, "metadata.name");
    let mut seen = Unique::new();
    for (index, annotation) in list.iter().enumerate() {
        if errors.is_full() {
            break;
        }
        let (key, at) = (tree::text(annotation, "key"), path.index(index));
        let place = at.child("key");
        if name.is_empty() {
            let detail = "requires metadata.name be non-empty";
            errors.push(field::invalid(&place, key, detail));
        } else {
            let whole = format!("{name}/{key}");
            errors.check(&place, whole.as_str(), names::is_qualified_name(&whole));
        }
        let text = tree::text(annotation, "valueExpression");
        value_expression(errors, text, scope, &at.child("valueExpression"));
        seen.insert(errors, key, &place);
    }
}

fn value_expression(errors: &mut ErrorList, text: &str, scope: Scope<'_>, path: &Path) {
    let expression = text.trim();
    if expression.is_empty() {
        let detail = "valueExpression is not specified";
        errors.push(field::required(path, detail));
    } else if expression.len() > MAX_ANNOTATION_BYTES {
        let detail = format!("must not exceed {MAX_ANNOTATION_BYTES} bytes in length");
        errors.push(field::required(path, detail));
    } else {
        scope.compile(errors, (expression, text), &["string", "null_type"], path);
    }
}

pub(super) fn validate_status_update(new: &Value, _: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status");
    let warnings = path.child("typeChecking").child("expressionWarnings");
    let list = tree::list(new, warnings.as_str());
    for (index, warning) in list.iter().enumerate() {
        let at = warnings.index(index);
        checks::required(&mut errors, warning, "warning", &at, "");
        let (reference, at) = (tree::text(warning, "fieldRef").trim(), at.child("fieldRef"));
        if reference.is_empty() {
            errors.push(field::required(&at, ""));
            continue;
        }
        let path = format!(".{}", reference.trim_start_matches('.'));
        if let Err(why) = JsonPath::parse(&path) {
            let detail = format!("invalid JSONPath: {why}");
            errors.push(field::invalid(&at, reference, detail));
        }
    }
    let status = tree::get(new, "status").unwrap_or(&Value::Null);
    conditions::validate(&mut errors, status, &path);
    errors
}
