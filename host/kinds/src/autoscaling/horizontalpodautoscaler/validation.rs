//! Validation of horizontal pod autoscalers.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

const SOURCES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

pub(super) fn validate(scaler: &Value) -> ErrorList {
    spec(scaler, true)
}

/// A target of an older rule stays as long as it is not changed.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let target = |scaler, part: &str| tree::text(scaler, &format!("spec.scaleTargetRef.{part}"));
    let is_changed = |part: &&str| target(new, part) != target(old, part);
    spec(new, ["apiVersion", "kind"].iter().any(is_changed))
}

fn spec(scaler: &Value, checks_version: bool) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(scaler, "spec").unwrap_or(&Value::Null);
    let minimum = tree::int(spec, "minReplicas").unwrap_or(1);
    let maximum = tree::int(spec, "maxReplicas").unwrap_or(0);
    if minimum < 1 {
        errors.push(field::invalid(
            &path.child("minReplicas"),
            minimum,
            "must be greater than or equal to 1",
        ));
    }
    if maximum == 0 {
        let detail = "must be set and greater than 0";
        errors.push(field::required(&path.child("maxReplicas"), detail));
    } else if maximum < 0 {
        errors.push(field::invalid(
            &path.child("maxReplicas"),
            maximum,
            "must be greater than or equal to 1",
        ));
    }
    if maximum < minimum {
        errors.push(field::invalid(
            &path.child("maxReplicas"),
            maximum,
            "must be greater than or equal to `minReplicas`",
        ));
    }
    let target = tree::get(spec, "scaleTargetRef").unwrap_or(&Value::Null);
    reference(&mut errors, target, &path.child("scaleTargetRef"));
    if checks_version {
        let at = path.child("scaleTargetRef.apiVersion");
        target_version(&mut errors, target, &at);
    }
    for (index, metric) in tree::list(spec, "metrics").iter().enumerate() {
        self::metric(&mut errors, metric, &path.child("metrics").index(index));
    }
    for rules in ["scaleUp", "scaleDown"] {
        if let Some(found) = tree::get(spec, &format!("behavior.{rules}")) {
            self::rules(&mut errors, found, &path.child("behavior").child(rules));
        }
    }
    errors
}

fn reference(errors: &mut ErrorList, target: &Value, path: &Path) {
    for part in ["kind", "name"] {
        if checks::required(errors, target, part, path, "") {
            let text = tree::text(target, part);
            errors.check(&path.child(part), text, names::is_path_segment(text));
        }
    }
}

/// Only one kind of the core group has a scale.
fn target_version(errors: &mut ErrorList, target: &Value, path: &Path) {
    let version = tree::text(target, "apiVersion");
    let detail = match version.matches('/').count() {
        0 | 1 if version.contains('/') && !version.starts_with('/') => return,
        0 | 1 if tree::text(target, "kind") == "ReplicationController" => return,
        0 | 1 => "apiVersion must specify API group".to_owned(),
        _ => format!("unexpected GroupVersion string: {version}"),
    };
    errors.push(field::invalid(path, version, detail));
}

fn metric(errors: &mut ErrorList, metric: &Value, path: &Path) {
    let Some(source) = source(errors, metric, path) else {
        return;
    };
    for (_, other) in SOURCES.iter().filter(|(_, other)| *other != source) {
        if tree::get(metric, other).is_some() {
            let detail = "must populate the given metric source only";
            errors.push(field::forbidden(&path.child(other), detail));
        }
    }
    let at = path.child(source);
    let Some(found) = tree::get(metric, source) else {
        let detail = "must populate information for the given metric source";
        errors.push(field::required(&at, detail));
        return;
    };
    let (name, detail) = if matches!(source, "resource" | "containerResource") {
        ("name", "must specify a resource name")
    } else {
        ("metric.name", "")
    };
    checks::required(errors, found, name, &at, detail);
    target(errors, source, found, &at);
}

/// The field of the source that `type` names.
fn source(errors: &mut ErrorList, metric: &Value, path: &Path) -> Option<&'static str> {
    let at = path.child("type");
    let kind = tree::text(metric, "type");
    if kind.is_empty() {
        errors.push(field::required(&at, "must specify a metric source type"));
        return None;
    }
    let named = SOURCES.iter().find(|(name, _)| *name == kind);
    if named.is_none() {
        let supported = SOURCES.map(|(name, _)| name);
        errors.push(field::not_supported(&at, kind, &supported));
    }
    named.map(|(_, source)| *source)
}

/// The value that a source is to reach, in a form that the source has.
fn target(errors: &mut ErrorList, source: &str, found: &Value, path: &Path) {
    let has = |field: &str| tree::get(found, &format!("target.{field}")).is_some();
    let average_value = path.child("target.averageValue");
    match source {
        "resource" | "containerResource" => {
            match (has("averageUtilization"), has("averageValue")) {
                (false, false) => {
                    let at = path.child("target.averageUtilization");
                    let detail = "must set either a target raw value or a target utilization";
                    errors.push(field::required(&at, detail));
                }
                (true, true) => {
                    let detail = "may not set both a target raw value and a target utilization";
                    errors.push(field::forbidden(&average_value, detail));
                }
                _ => {}
            }
        }
        "pods" if !has("averageValue") => {
            let detail = "must specify a positive target averageValue";
            errors.push(field::required(&average_value, detail));
        }
        "object" | "external" if !has("value") && !has("averageValue") => {
            let detail = "must set either a target value or averageValue";
            errors.push(field::required(&average_value, detail));
        }
        _ => {}
    }
}

fn rules(errors: &mut ErrorList, rules: &Value, path: &Path) {
    if let Some(window) = tree::int(rules, "stabilizationWindowSeconds") {
        let at = path.child("stabilizationWindowSeconds");
        if window < 0 {
            errors.push(field::invalid(
                &at,
                window,
                "must be greater than or equal to zero",
            ));
        } else if window > 3600 {
            errors.push(field::invalid(
                &at,
                window,
                "must be less than or equal to 3600",
            ));
        }
    }
    checks::one_of(
        errors,
        rules,
        "selectPolicy",
        path,
        &["Disabled", "Max", "Min"],
    );
    let policies = tree::list(rules, "policies");
    if policies.is_empty() {
        errors.push(field::required(
            &path.child("policies"),
            "must specify at least one Policy",
        ));
    }
    for (index, policy) in policies.iter().enumerate() {
        let at = path.child("policies").index(index);
        checks::required_one_of(errors, policy, "type", &at, &["Percent", "Pods"]);
        for name in ["value", "periodSeconds"] {
            let number = tree::int(policy, name).unwrap_or(0);
            if number <= 0 {
                errors.push(field::invalid(
                    &at.child(name),
                    number,
                    "must be greater than zero",
                ));
            }
        }
        if let Some(seconds) = tree::int(policy, "periodSeconds").filter(|seconds| *seconds > 1800)
        {
            errors.push(field::invalid(
                &at.child("periodSeconds"),
                seconds,
                "must be less than or equal to 1800",
            ));
        }
    }
}

pub(super) fn validate_status_update(new: &Value, _old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let status = tree::get(new, "status").unwrap_or(&Value::Null);
    for name in ["currentReplicas", "desiredReplicas"] {
        checks::not_negative(&mut errors, status, name, &Path::new("status"));
    }
    errors
}
