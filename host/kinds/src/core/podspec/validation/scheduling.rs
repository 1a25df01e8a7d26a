//! Where a pod may run: gates, spreading, tolerations.

use std::collections::HashSet;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

/// Validates gates, readiness gates and spread constraints.
pub(super) fn validate(errors: &mut ErrorList, spec: &Value, path: &Path) {
    for (index, gate) in tree::list(spec, "readinessGates").iter().enumerate() {
        let kind = tree::text(gate, "conditionType");
        let at = path
            .child("readinessGates")
            .index(index)
            .child("conditionType");
        errors.check(&at, kind, names::is_qualified_name(kind));
    }
    let mut seen = checks::Unique::new();
    for (index, gate) in tree::list(spec, "schedulingGates").iter().enumerate() {
        let name = tree::text(gate, "name");
        let at = path.child("schedulingGates").index(index);
        errors.check(&at, name, names::is_qualified_name(name));
        seen.insert(errors, name, &at);
    }
    spread(errors, spec, &path.child("topologySpreadConstraints"));
}

fn spread(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let constraints = tree::list(spec, "topologySpreadConstraints");
    for (index, constraint) in constraints.iter().enumerate() {
        let at = path.index(index);
        let skew = tree::int(constraint, "maxSkew").unwrap_or(0);
        if skew <= 0 {
            errors.push(field::invalid(
                &at.child("maxSkew"),
                skew,
                "must be greater than zero",
            ));
        }
        let (key, action) = (
            tree::text(constraint, "topologyKey"),
            tree::text(constraint, "whenUnsatisfiable"),
        );
        if key.is_empty() {
            errors.push(field::required(
                &at.child("topologyKey"),
                "can not be empty",
            ));
        }
        let actions = ["DoNotSchedule", "ScheduleAnyway"];
        if !actions.contains(&action) {
            errors.push(field::not_supported(
                &at.child("whenUnsatisfiable"),
                action,
                &actions,
            ));
        }
        let mut later = constraints.iter().skip(index + 1);
        if later.any(|other| {
            tree::text(other, "topologyKey") == key
                && tree::text(other, "whenUnsatisfiable") == action
        }) {
            errors.push(field::duplicate(
                &at.child("{topologyKey, whenUnsatisfiable}"),
                format!("{{{key}, {action}}}"),
            ));
        }
        if let Some(minimum) = tree::int(constraint, "minDomains") {
            if minimum <= 0 {
                errors.push(field::invalid(
                    &at.child("minDomains"),
                    minimum,
                    "must be greater than zero",
                ));
            }
            if action != "DoNotSchedule" {
                let detail = format!(
                    "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
                );
                errors.push(field::invalid(&at.child("minDomains"), minimum, detail));
            }
        }
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            checks::supported(errors, constraint, policy, &at, &["Honor", "Ignore"]);
        }
        label_keys(errors, constraint, &at);
        if let Some(selector) = tree::get(constraint, "labelSelector") {
            errors.append(checks::label_selector(selector, &at.child("labelSelector")));
        }
    }
}

/// Validates `matchLabelKeys` and `mismatchLabelKeys` of what also has a `labelSelector`
/// (`ValidateMatchLabelKeysAndMismatchLabelKeys`).
pub(super) fn label_keys(errors: &mut ErrorList, holder: &Value, path: &Path) {
    let selector = tree::get(holder, "labelSelector");
    for list in ["matchLabelKeys", "mismatchLabelKeys"] {
        let (keys, at) = (tree::texts(holder, list), path.child(list));
        if !keys.is_empty() && selector.is_none() {
            let detail = "must not be specified when labelSelector is not set";
            errors.push(field::forbidden(&at, detail));
            continue;
        }
        for (index, key) in keys.iter().enumerate() {
            errors.check(&at.index(index), *key, names::is_qualified_name(key));
        }
    }
    let matched = tree::texts(holder, "matchLabelKeys");
    if let Some(selector) = selector {
        selected_twice(errors, selector, &matched, path);
    }
    let excluded = tree::texts(holder, "mismatchLabelKeys");
    for (index, key) in matched.iter().enumerate() {
        if excluded.contains(key) {
            let at = path.child("matchLabelKeys").index(index);
            let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
            errors.push(field::invalid(&at, *key, detail));
        }
    }
}

/// The server adds an expression for each key before, so a key that the selector had stands there twice.
fn selected_twice(errors: &mut ErrorList, selector: &Value, matched: &[&str], path: &Path) {
    let mut seen: HashSet<&str> = tree::map(selector, "matchLabels")
        .keys()
        .map(String::as_str)
        .collect();
    for expression in tree::list(selector, "matchExpressions") {
        let key = tree::text(expression, "key");
        let index = matched.iter().rposition(|other| *other == key);
        if let Some(index) = index.filter(|_| seen.contains(key)) {
            let detail = "exists in both matchLabelKeys and labelSelector";
            errors.push(field::invalid(&path.index(index), key, detail));
        }
        seen.insert(key);
    }
}

/// Validates `tolerations` of `holder`.
pub(crate) fn tolerations(errors: &mut ErrorList, holder: &Value, path: &Path) {
    for (index, toleration) in tree::list(holder, "tolerations").iter().enumerate() {
        self::toleration(errors, toleration, &path.index(index));
    }
}

fn toleration(errors: &mut ErrorList, toleration: &Value, path: &Path) {
    let [key, operator, value, effect] =
        ["key", "operator", "value", "effect"].map(|part| tree::text(toleration, part));
    if !key.is_empty() {
        errors.check(&path.child("key"), key, names::is_qualified_name(key));
    } else if operator != "Exists" {
        let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.push(field::invalid(&path.child("operator"), operator, detail));
    }
    if tree::get(toleration, "tolerationSeconds").is_some() && effect != "NoExecute" {
        let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.push(field::invalid(&path.child("effect"), effect, detail));
    }
    match operator {
        "Equal" | "" => {
            if let Err(violations) = names::is_label_value(value) {
                let detail = violations.into_iter().collect::<Vec<_>>().join(";");
                errors.push(field::invalid(&path.child("operator"), value, detail));
            }
        }
        "Exists" => {
            if !value.is_empty() {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.push(field::invalid(&path.child("operator"), value, detail));
            }
        }
        // Comparing numbers is a feature that is off.
        "Lt" | "Gt" => errors.push(field::not_supported(
            &path.child("operator"),
            operator,
            &["Equal", "Exists", "Lt", "Gt"],
        )),
        _ => errors.push(field::not_supported(
            &path.child("operator"),
            operator,
            &["Equal", "Exists"],
        )),
    }
    checks::one_of(
        errors,
        toleration,
        "effect",
        path,
        &["NoSchedule", "PreferNoSchedule", "NoExecute"],
    );
}
