//! Validation of horizontal pod autoscalers (`pkg/apis/autoscaling/validation`).

use std::borrow::Cow;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{Quantity, tree};
use serde_json::Value;

use super::{convert, metrics};
use crate::checks;
use crate::object_meta::NOT_NEGATIVE;
use crate::quantity;

/// How an `apiVersion` of a reference is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VersionRule {
    /// Not at all.
    Any,
    /// It must be well-formed.
    Form,
    /// It must be well-formed and name a group.
    Group,
}

pub(super) fn validate(scaler: &Value) -> ErrorList {
    spec(&latest(scaler), None)
}

/// What an older rule let in stays as long as it is not changed.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    spec(&latest(new), Some(&latest(old)))
}

/// The object as version 2 has it, which has all fields; the rules are about that one.
fn latest(scaler: &Value) -> Cow<'_, Value> {
    if tree::text(scaler, "apiVersion") != "autoscaling/v1" {
        return Cow::Borrowed(scaler);
    }
    let mut latest = scaler.clone();
    (convert::V1.to_stored)(&mut latest);
    Cow::Owned(latest)
}

fn spec(scaler: &Value, old: Option<&Value>) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(scaler, "spec").unwrap_or(&Value::Null);
    replicas(&mut errors, spec, old, &path);
    let target = tree::get(spec, "scaleTargetRef").unwrap_or(&Value::Null);
    let rule = target_rule(target, old);
    reference(&mut errors, target, rule, &path.child("scaleTargetRef"));
    metrics::validate(&mut errors, spec, metrics_rule(old), &path);
    for rules in ["scaleUp", "scaleDown"] {
        if let Some(found) = tree::get(spec, &format!("behavior.{rules}")) {
            self::rules(&mut errors, found, &path.child("behavior").child(rules));
        }
    }
    errors
}

fn replicas(errors: &mut ErrorList, spec: &Value, old: Option<&Value>, path: &Path) {
    // Scaling to zero is behind a feature that is off; objects from where it was on stay as they are.
    let was_zero = old.and_then(|old| tree::int(old, "spec.minReplicas")) == Some(0);
    let bound = i64::from(!was_zero);
    let minimum = tree::int(spec, "minReplicas");
    let maximum = tree::int(spec, "maxReplicas").unwrap_or(0);
    if let Some(minimum) = minimum.filter(|minimum| *minimum < bound) {
        let detail = format!("must be greater than or equal to {bound}");
        errors.push(field::invalid(&path.child("minReplicas"), minimum, detail));
    }
    let at = path.child("maxReplicas");
    if maximum == 0 {
        errors.push(field::required(&at, "must be set and greater than 0"));
    } else if maximum < 0 {
        let detail = "must be greater than or equal to 1";
        errors.push(field::invalid(&at, maximum, detail));
    }
    if minimum.is_some_and(|minimum| maximum < minimum) {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.push(field::invalid(&at, maximum, detail));
    }
}

/// Only one kind of the core group has a scale.
fn target_rule(target: &Value, old: Option<&Value>) -> VersionRule {
    let before = old.map(|old| tree::get(old, "spec.scaleTargetRef").unwrap_or(&Value::Null));
    let is_same =
        |part: &&str| before.map(|old| tree::text(old, part)) == Some(tree::text(target, part));
    if ["apiVersion", "kind"].iter().all(is_same) {
        VersionRule::Any
    } else if tree::text(target, "kind") == "ReplicationController" {
        VersionRule::Form
    } else {
        VersionRule::Group
    }
}

fn metrics_rule(old: Option<&Value>) -> VersionRule {
    let is_malformed = |metric: &Value| {
        let version = tree::text(metric, "object.describedObject.apiVersion");
        tree::text(metric, "type") == "Object" && version.matches('/').count() > 1
    };
    let before = old.map_or(&[][..], |old| tree::list(old, "spec.metrics"));
    if before.iter().any(is_malformed) {
        VersionRule::Any
    } else {
        VersionRule::Form
    }
}

/// Validates a `CrossVersionObjectReference`.
pub(super) fn reference(errors: &mut ErrorList, target: &Value, rule: VersionRule, path: &Path) {
    for part in ["kind", "name"] {
        checks::required_segment(errors, target, part, path);
    }
    let version = tree::text(target, "apiVersion");
    let detail = match version.matches('/').count() {
        _ if rule == VersionRule::Any => return,
        0 | 1 if rule == VersionRule::Form => return,
        1 if !version.starts_with('/') => return,
        0 | 1 => "apiVersion must specify API group".to_owned(),
        _ => format!("unexpected GroupVersion string: {version}"),
    };
    errors.push(field::invalid(&path.child("apiVersion"), version, detail));
}

fn rules(errors: &mut ErrorList, rules: &Value, path: &Path) {
    if let Some(window) = tree::int(rules, "stabilizationWindowSeconds") {
        let at = path.child("stabilizationWindowSeconds");
        if window < 0 {
            let detail = "must be greater than or equal to zero";
            errors.push(field::invalid(&at, window, detail));
        } else if window > 3600 {
            let detail = "must be less than or equal to 3600";
            errors.push(field::invalid(&at, window, detail));
        }
    }
    if tree::get(rules, "selectPolicy").is_some() {
        let policies = ["Disabled", "Max", "Min"];
        checks::is_one_of(errors, rules, "selectPolicy", path, &policies);
    }
    let policies = tree::list(rules, "policies");
    let at = path.child("policies");
    if policies.is_empty() {
        errors.push(field::required(&at, "must specify at least one Policy"));
    }
    for (index, policy) in policies.iter().enumerate() {
        self::policy(errors, policy, &at.index(index));
    }
    let tolerance = tree::get(rules, "tolerance");
    if tolerance
        .and_then(quantity::read)
        .is_some_and(Quantity::is_negative)
    {
        errors.push(field::invalid(
            &path.child("tolerance"),
            tolerance,
            NOT_NEGATIVE,
        ));
    }
}

fn policy(errors: &mut ErrorList, policy: &Value, path: &Path) {
    checks::is_one_of(errors, policy, "type", path, &["Percent", "Pods"]);
    for name in ["value", "periodSeconds"] {
        let number = tree::int(policy, name).unwrap_or(0);
        if number <= 0 {
            let detail = "must be greater than zero";
            errors.push(field::invalid(&path.child(name), number, detail));
        }
    }
    let seconds = tree::int(policy, "periodSeconds");
    if let Some(seconds) = seconds.filter(|seconds| *seconds > 1800) {
        let detail = "must be less than or equal to 1800";
        errors.push(field::invalid(
            &path.child("periodSeconds"),
            seconds,
            detail,
        ));
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
