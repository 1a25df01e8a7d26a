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
        errors.check(&at.child("name"), name, names::is_qualified_name(name));
        seen.insert(errors, name, &at.child("name"));
    }
    spread(errors, spec, &path.child("topologySpreadConstraints"));
}

fn spread(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let mut seen = HashSet::new();
    for (index, constraint) in tree::list(spec, "topologySpreadConstraints")
        .iter()
        .enumerate()
    {
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
        } else {
            errors.check(&at.child("topologyKey"), key, names::is_qualified_name(key));
        }
        let actions = ["DoNotSchedule", "ScheduleAnyway"];
        if !actions.contains(&action) {
            errors.push(field::not_supported(
                &at.child("whenUnsatisfiable"),
                action,
                &actions,
            ));
        }
        if !seen.insert((key, action)) {
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
                let detail = "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway";
                errors.push(field::invalid(&at.child("minDomains"), minimum, detail));
            }
        }
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            checks::one_of(errors, constraint, policy, &at, &["Honor", "Ignore"]);
        }
        if let Some(selector) = tree::get(constraint, "labelSelector") {
            errors.append(checks::label_selector(selector, &at.child("labelSelector")));
        }
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
        "Equal" | "" => errors.check(&path.child("operator"), value, names::is_label_value(value)),
        "Exists" => {
            if !value.is_empty() {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.push(field::invalid(&path.child("operator"), toleration, detail));
            }
        }
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
