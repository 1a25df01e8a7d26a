//! When containers are started again: after they ended, and after their resources changed.

use std::collections::HashSet;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

const MAX_RULES: usize = 20;
const MAX_EXIT_CODES: usize = 255;

/// Validates `restartPolicy` and `restartPolicyRules` of a container (`validateContainerRestartPolicy`).
pub(super) fn policy(errors: &mut ErrorList, container: &Value, path: &Path) {
    let rules = tree::list(container, "restartPolicyRules");
    match tree::get(container, "restartPolicy").and_then(Value::as_str) {
        None if rules.is_empty() => return,
        None => errors.push(field::required(
            &path.child("restartPolicy"),
            "must specify restartPolicy when restart rules are used",
        )),
        Some("Always" | "Never" | "OnFailure") => {}
        Some(other) => errors.push(field::not_supported(
            &path.child("restartPolicy"),
            other,
            &["Always", "Never", "OnFailure"],
        )),
    }
    let path = path.child("restartPolicyRules");
    if rules.len() > MAX_RULES {
        errors.push(field::too_many(&path, rules.len(), MAX_RULES));
    }
    for (index, rule) in rules.iter().enumerate() {
        self::rule(errors, rule, &path.index(index));
    }
}

fn rule(errors: &mut ErrorList, rule: &Value, path: &Path) {
    let action = tree::text(rule, "action");
    let actions = ["Restart", "RestartAllContainers"];
    if !actions.contains(&action) {
        errors.push(field::not_supported(
            &path.child("action"),
            action,
            &actions,
        ));
    }
    let at = path.child("exitCodes");
    let Some(codes) = tree::get(rule, "exitCodes") else {
        errors.push(field::required(&at, "must be specified"));
        return;
    };
    let operator = tree::text(codes, "operator");
    if !["In", "NotIn"].contains(&operator) {
        let at = at.child("operator");
        errors.push(field::not_supported(&at, operator, &["In", "NotIn"]));
    }
    let values = tree::list(codes, "values").len();
    if values > MAX_EXIT_CODES {
        errors.push(field::too_many(&at.child("values"), values, MAX_EXIT_CODES));
    }
}

/// Validates `resizePolicy` of a container (`validateResizePolicy`, which names the list only).
pub(super) fn resize(errors: &mut ErrorList, container: &Value, path: &Path, spec: &Value) {
    let mut seen = HashSet::new();
    for (index, policy) in tree::list(container, "resizePolicy").iter().enumerate() {
        let name = tree::text(policy, "resourceName");
        if !seen.insert(name) {
            errors.push(field::duplicate(&path.index(index), name));
        }
        let restart = tree::text(policy, "restartPolicy");
        for (text, supported) in [
            (name, ["cpu", "memory"]),
            (restart, ["NotRequired", "RestartContainer"]),
        ] {
            if text.is_empty() {
                errors.push(field::required(path, ""));
            } else if !supported.contains(&text) {
                errors.push(field::not_supported(path, text, &supported));
            }
        }
        let never = tree::text(spec, "restartPolicy") == "Never";
        if never && restart != "NotRequired" {
            let detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            errors.push(field::invalid(path, restart, detail));
        }
    }
}
