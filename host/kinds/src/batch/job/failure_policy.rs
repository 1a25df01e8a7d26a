//! `podFailurePolicy` of jobs (`validatePodFailurePolicy`).

use std::collections::HashSet;

use k3s_meta::field::{self, BadValue, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::Check;

const MAX_RULES: usize = 20;
const MAX_EXIT_CODES: usize = 255;
const MAX_PATTERNS: usize = 20;

const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: [&str; 2] = ["In", "NotIn"];
const STATUSES: [&str; 3] = ["False", "True", "Unknown"];

/// Validates the policy of the job spec `spec`, at `path`.
pub(super) fn validate(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let rules = tree::list(spec, "podFailurePolicy.rules");
    let path = path.child("podFailurePolicy.rules");
    if rules.len() > MAX_RULES {
        errors.push(field::too_many(&path, rules.len(), MAX_RULES));
    }
    let containers: HashSet<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| tree::list(spec, &format!("template.spec.{list}")))
        .map(|container| tree::text(container, "name"))
        .collect();
    for (index, rule) in rules.iter().enumerate() {
        let at = path.index(index);
        action(errors, spec, rule, &at.child("action"));
        self::rule(errors, rule, &at, &containers);
    }
}

fn action(errors: &mut ErrorList, spec: &Value, rule: &Value, path: &Path) {
    let action = tree::text(rule, "action");
    if action == "FailIndex" && tree::get(spec, "backoffLimitPerIndex").is_none() {
        let detail = "requires the backoffLimitPerIndex to be set";
        errors.push(field::invalid(path, action, detail));
    }
    choice(errors, action, path, &ACTIONS);
}

/// A text of a few, which a missing one is told.
fn choice(errors: &mut ErrorList, text: &str, path: &Path, supported: &[&str]) {
    if text.is_empty() {
        let quoted: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        let detail = format!("valid values: [{}]", quoted.join(" "));
        errors.push(field::required(path, detail));
    } else if !supported.contains(&text) {
        errors.push(field::not_supported(path, text, supported));
    }
}

fn rule(errors: &mut ErrorList, rule: &Value, path: &Path, containers: &HashSet<&str>) {
    let codes = tree::get(rule, "onExitCodes");
    if let Some(codes) = codes {
        exit_codes(errors, codes, &path.child("onExitCodes"), containers);
    }
    let conditions = tree::list(rule, "onPodConditions");
    patterns(errors, conditions, &path.child("onPodConditions"));
    let detail = match (codes, conditions.is_empty()) {
        (Some(_), false) => "specifying both OnExitCodes and OnPodConditions is not supported",
        (None, true) => "specifying one of OnExitCodes and OnPodConditions is required",
        _ => return,
    };
    errors.push(field::invalid(path, BadValue::Omitted, detail));
}

fn patterns(errors: &mut ErrorList, patterns: &[Value], path: &Path) {
    if patterns.len() > MAX_PATTERNS {
        errors.push(field::too_many(path, patterns.len(), MAX_PATTERNS));
    }
    for (index, pattern) in patterns.iter().enumerate() {
        let at = path.index(index);
        let kind = tree::text(pattern, "type");
        errors.check(&at.child("type"), kind, names::is_qualified_name(kind));
        let status = tree::text(pattern, "status");
        choice(errors, status, &at.child("status"), &STATUSES);
    }
}

fn exit_codes(errors: &mut ErrorList, codes: &Value, path: &Path, containers: &HashSet<&str>) {
    let operator = tree::text(codes, "operator");
    choice(errors, operator, &path.child("operator"), &OPERATORS);
    let container = tree::get(codes, "containerName").and_then(Value::as_str);
    if let Some(name) = container.filter(|name| !containers.contains(name)) {
        let detail = "must be one of the container or initContainer names in the pod template";
        errors.push(field::invalid(&path.child("containerName"), name, detail));
    }
    let path = path.child("values");
    let given = tree::get(codes, "values");
    let values: Vec<i64> = tree::list(codes, "values")
        .iter()
        .filter_map(Value::as_i64)
        .collect();
    if values.is_empty() {
        errors.push(field::invalid(
            &path,
            given,
            "at least one value is required",
        ));
    } else if values.len() > MAX_EXIT_CODES {
        errors.push(field::too_many(&path, values.len(), MAX_EXIT_CODES));
    }
    let mut seen = HashSet::new();
    for (index, code) in values.iter().enumerate() {
        if operator == "In" && *code == 0 {
            let detail = "must not be 0 for the In operator";
            errors.push(field::invalid(&path.index(index), *code, detail));
        }
        if !seen.insert(code) {
            errors.push(field::duplicate(&path.index(index), *code));
        }
    }
    if !values.is_sorted() {
        errors.push(field::invalid(&path, given, "must be ordered"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusals(rule: Value) -> String {
        let spec = json!({
            "podFailurePolicy": {"rules": [rule]},
            "template": {"spec": {"containers": [{"name": "main"}]}},
        });
        let mut errors = ErrorList::new();
        validate(&mut errors, &spec, &Path::new("spec"));
        errors
            .to_string()
            .replace("spec.podFailurePolicy.rules[0]", "rule")
    }

    #[test]
    fn mistakes_are_worded_as_upstream() {
        let codes = |codes: Value| json!({"action": "FailJob", "onExitCodes": codes});
        for (rule, message) in [
            (
                json!({"onPodConditions": [{"type": "a", "status": "True"}]}),
                "rule.action: Required value: valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]",
            ),
            (
                json!({"action": "FailIndex", "onPodConditions": [{"type": "a", "status": "True"}]}),
                "rule.action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be set",
            ),
            (
                json!({"action": "Count"}),
                "rule: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
            ),
            (
                codes(json!({"operator": "In", "values": [1], "containerName": "other"})),
                "rule.onExitCodes.containerName: Invalid value: \"other\": must be one of the container or initContainer names in the pod template",
            ),
            (
                codes(json!({"operator": "In", "values": []})),
                "rule.onExitCodes.values: Invalid value: []: at least one value is required",
            ),
            (
                codes(json!({"operator": "In", "values": [0]})),
                "rule.onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
            ),
            (
                codes(json!({"operator": "NotIn", "values": [2, 1]})),
                "rule.onExitCodes.values: Invalid value: [2,1]: must be ordered",
            ),
            (
                codes(json!({"operator": "NotIn", "values": [1, 1], "containerName": "main"})),
                "rule.onExitCodes.values[1]: Duplicate value: 1",
            ),
        ] {
            assert_eq!(refusals(rule), message);
        }
    }
}
