//! Validation of deployments.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::apps::workload;
use crate::checks;
use crate::core::podspec::warnings as spec_warnings;

pub(super) fn validate(deployment: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(deployment, "spec").unwrap_or(&Value::Null);
    checks::not_negative(&mut errors, spec, "replicas", &path);
    workload::selected_template(&mut errors, spec, &path);
    strategy(
        &mut errors,
        tree::get(spec, "strategy").unwrap_or(&Value::Null),
        &path.child("strategy"),
    );
    for name in [
        "minReadySeconds",
        "revisionHistoryLimit",
        "progressDeadlineSeconds",
    ] {
        checks::not_negative(&mut errors, spec, name, &path);
    }
    let (deadline, ready) = (
        tree::int(spec, "progressDeadlineSeconds"),
        tree::int(spec, "minReadySeconds").unwrap_or(0),
    );
    if let Some(deadline) = deadline.filter(|deadline| *deadline <= ready) {
        errors.push(field::invalid(
            &path.child("progressDeadlineSeconds"),
            deadline,
            "must be greater than minReadySeconds",
        ));
    }
    errors
}

fn strategy(errors: &mut ErrorList, strategy: &Value, path: &Path) {
    let at = path.child("rollingUpdate");
    let rolling = tree::get(strategy, "rollingUpdate");
    match (tree::text(strategy, "type"), rolling) {
        ("Recreate", Some(_)) => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(field::forbidden(&at, detail));
        }
        ("Recreate", None) => {}
        ("RollingUpdate", None) => errors.push(field::required(
            &at,
            "this should be defaulted and never be nil",
        )),
        ("RollingUpdate", Some(rolling)) => self::rolling(errors, rolling, &at),
        _ => errors.push(field::not_supported(
            path,
            strategy,
            &["Recreate", "RollingUpdate"],
        )),
    }
}

fn rolling(errors: &mut ErrorList, rolling: &Value, path: &Path) {
    let value = |name: &str| tree::get(rolling, name).cloned().unwrap_or(Value::Null);
    let (unavailable, surge) = (value("maxUnavailable"), value("maxSurge"));
    checks::int_or_percent(errors, &unavailable, &path.child("maxUnavailable"));
    checks::int_or_percent(errors, &surge, &path.child("maxSurge"));
    if checks::is_zero(&unavailable) && checks::is_zero(&surge) {
        let detail = "may not be 0 when `maxSurge` is 0";
        errors.push(field::invalid(
            &path.child("maxUnavailable"),
            &unavailable,
            detail,
        ));
    }
    checks::not_above_hundred(errors, &unavailable, &path.child("maxUnavailable"));
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    checks::immutable(&mut errors, new, old, "spec.selector");
    errors
}

pub(super) fn validate_status_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status");
    let status = tree::get(new, "status").unwrap_or(&Value::Null);
    let names = [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    ];
    for name in names {
        checks::not_negative(&mut errors, status, name, &path);
    }
    let count = |name: &str| tree::int(status, name).unwrap_or(0);
    for name in ["updatedReplicas", "readyReplicas", "availableReplicas"] {
        if count(name) > count("replicas") {
            errors.push(field::invalid(
                &path.child(name),
                count(name),
                "cannot be greater than status.replicas",
            ));
        }
    }
    if count("availableReplicas") > count("readyReplicas") {
        let detail = "cannot be greater than readyReplicas";
        errors.push(field::invalid(
            &path.child("availableReplicas"),
            count("availableReplicas"),
            detail,
        ));
    }
    checks::not_decremented(&mut errors, new, old, "status.collisionCount");
    errors
}

pub(super) fn update_warnings(new: &Value, old: &Value) -> Vec<String> {
    spec_warnings::changed_template(new, old, "spec.template")
}

pub(super) fn warnings(deployment: &Value) -> Vec<String> {
    spec_warnings::named_template(deployment, "spec.template")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apps::deployment::defaults;

    fn deployment(change: impl Fn(&mut Value)) -> Value {
        let mut deployment = json!({"metadata": {"name": "d"}, "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        }});
        change(&mut deployment);
        defaults::default(&mut deployment);
        deployment
    }

    #[test]
    fn mistakes_are_worded_as_upstream() {
        type Case = (fn(&mut Value), &'static str);
        let cases: [Case; 5] = [
            (
                |it| tree::set(it, "spec.replicas", -1),
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                |it| drop(tree::remove(it, "spec.selector")),
                "[spec.selector: Required value, spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: `selector` does not match template `labels`]",
            ),
            (
                |it| tree::set(it, "spec.template.metadata.labels", json!({"app": "b"})),
                "spec.template.metadata.labels: Invalid value: {\"app\":\"b\"}: `selector` does not match template `labels`",
            ),
            (
                |it| {
                    tree::set(
                        it,
                        "spec.strategy",
                        json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
                    )
                },
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
            ),
            (
                |it| tree::set(it, "spec.template.spec.restartPolicy", "Never"),
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            ),
        ];
        for (change, message) in cases {
            assert_eq!(validate(&deployment(change)).to_string(), message);
        }
        assert!(validate(&deployment(|_| {})).is_empty());
    }

    #[test]
    fn the_selector_is_immutable() {
        let new = deployment(|it| {
            for path in ["spec.selector.matchLabels", "spec.template.metadata.labels"] {
                tree::set(it, path, json!({"app": "b"}));
            }
        });
        assert_eq!(
            validate_update(&new, &deployment(|_| {})).to_string(),
            "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"b\"}}: field is immutable"
        );
    }
}
