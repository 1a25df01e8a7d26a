//! Validation of daemon sets.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::apps::workload;
use crate::checks;
use crate::core::podspec::warnings as spec_warnings;

pub(super) fn validate(set: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(set, "spec").unwrap_or(&Value::Null);
    selector(&mut errors, spec, &path);
    workload::template(&mut errors, spec, &path, "DaemonSet");
    checks::not_negative(&mut errors, spec, "minReadySeconds", &path);
    checks::not_negative(&mut errors, spec, "revisionHistoryLimit", &path);
    strategy(
        &mut errors,
        tree::get(spec, "updateStrategy").unwrap_or(&Value::Null),
        &path.child("updateStrategy"),
    );
    errors
}

/// A missing selector selects nothing, so it does not match.
fn selector(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let at = path.child("selector");
    let selector = tree::get(spec, "selector");
    if let Some(selector) = selector {
        errors.append(checks::label_selector(selector, &at));
    }
    workload::matches(errors, spec, path);
    if selector.is_some_and(checks::selects_all) {
        let detail = "empty selector is invalid for daemonset";
        errors.push(field::invalid(&at, selector, detail));
    }
}

fn strategy(errors: &mut ErrorList, strategy: &Value, path: &Path) {
    match tree::text(strategy, "type") {
        "OnDelete" => {}
        "RollingUpdate" => match tree::get(strategy, "rollingUpdate") {
            Some(rolling) => self::rolling(errors, rolling, &path.child("rollingUpdate")),
            None => errors.push(field::required(&path.child("rollingUpdate"), "")),
        },
        _ => errors.push(field::not_supported(
            path,
            strategy,
            &["RollingUpdate", "OnDelete"],
        )),
    }
}

fn rolling(errors: &mut ErrorList, rolling: &Value, path: &Path) {
    let value = |name: &str| tree::get(rolling, name).cloned().unwrap_or(Value::Null);
    let (unavailable, surge) = (value("maxUnavailable"), value("maxSurge"));
    let both = [("maxUnavailable", &unavailable), ("maxSurge", &surge)];
    for (name, value) in both {
        checks::int_or_percent(errors, value, &path.child(name));
    }
    for (name, value) in both {
        checks::not_above_hundred(errors, value, &path.child(name));
    }
    match (checks::is_zero(&unavailable), checks::is_zero(&surge)) {
        (true, true) => errors.push(field::required(
            &path.child("maxUnavailable"),
            "cannot be 0 when maxSurge is 0",
        )),
        (false, false) => {
            let detail = "may not be set when maxUnavailable is non-zero";
            errors.push(field::invalid(&path.child("maxSurge"), &surge, detail));
        }
        _ => {}
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    checks::immutable(&mut errors, new, old, "spec.selector");
    errors.append(validate(new));
    errors
}

pub(super) fn validate_status_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let status = tree::get(new, "status").unwrap_or(&Value::Null);
    for name in [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ] {
        checks::not_negative(&mut errors, status, name, &Path::new("status"));
    }
    checks::not_decremented(&mut errors, new, old, "status.collisionCount");
    errors
}

pub(super) fn update_warnings(new: &Value, old: &Value) -> Vec<String> {
    spec_warnings::changed_template(new, old, "spec.template")
}

pub(super) fn warnings(set: &Value) -> Vec<String> {
    spec_warnings::template(set, "spec.template")
}
