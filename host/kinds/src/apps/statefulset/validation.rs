//! Validation of stateful sets.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::apps::workload;
use crate::checks;
use crate::core::podspec::warnings as spec_warnings;
use crate::equality::semantic_eq;

/// Fields of the spec that an update may change.
const OPEN: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

pub(super) fn validate(set: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(set, "spec").unwrap_or(&Value::Null);
    checks::required_one_of(
        &mut errors,
        spec,
        "podManagementPolicy",
        &path,
        &["OrderedReady", "Parallel"],
    );
    strategy(&mut errors, spec, &path.child("updateStrategy"));
    retention(
        &mut errors,
        spec,
        &path.child("persistentVolumeClaimRetentionPolicy"),
    );
    for name in ["replicas", "minReadySeconds", "revisionHistoryLimit"] {
        checks::not_negative(&mut errors, spec, name, &path);
    }
    if let Some(ordinals) = tree::get(spec, "ordinals") {
        checks::not_negative(&mut errors, ordinals, "start", &path.child("ordinals"));
    }
    workload::selector(&mut errors, spec, &path, "statefulset");
    workload::matches(&mut errors, spec, &path);
    template(&mut errors, spec, &path);
    errors
}

/// Claims made from `volumeClaimTemplates` are volumes of the pod, so mounts may name them.
fn template(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let mut spec = spec.clone();
    let claims: Vec<Value> = tree::list(&spec, "volumeClaimTemplates")
        .iter()
        .map(|claim| {
            let name = tree::text(claim, "metadata.name");
            serde_json::json!({"name": name, "persistentVolumeClaim": {"claimName": name}})
        })
        .collect();
    if !claims.is_empty() && tree::get(&spec, "template.spec").is_some() {
        let named = |volume: &Value| {
            claims
                .iter()
                .any(|claim| claim.get("name") == volume.get("name"))
        };
        let mut volumes: Vec<Value> = tree::list(&spec, "template.spec.volumes")
            .iter()
            .filter(|volume| !named(volume))
            .cloned()
            .collect();
        volumes.extend(claims);
        tree::set(&mut spec, "template.spec.volumes", volumes);
    }
    workload::template(errors, &spec, path, "StatefulSet");
}

fn strategy(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let strategy = tree::get(spec, "updateStrategy").unwrap_or(&Value::Null);
    let rolling = tree::get(strategy, "rollingUpdate");
    match tree::text(strategy, "type") {
        "" => errors.push(field::required(path, "")),
        "OnDelete" => {
            if rolling.is_some() {
                let detail = "only allowed for updateStrategy 'RollingUpdate'";
                errors.push(field::invalid(
                    &path.child("rollingUpdate"),
                    rolling,
                    detail,
                ));
            }
        }
        "RollingUpdate" => {
            if let Some(rolling) = rolling {
                let at = path.child("rollingUpdate");
                checks::not_negative(errors, rolling, "partition", &at);
                if let Some(unavailable) = tree::get(rolling, "maxUnavailable") {
                    checks::int_or_percent(errors, unavailable, &at.child("maxUnavailable"));
                    checks::not_above_hundred(errors, unavailable, &at.child("maxUnavailable"));
                    if unavailable.as_i64() == Some(0) || checks::percent(unavailable) == Some(0) {
                        errors.push(field::invalid(
                            &at.child("maxUnavailable"),
                            unavailable,
                            "cannot be 0",
                        ));
                    }
                }
            }
        }
        _ => errors.push(field::invalid(
            path,
            strategy,
            "must be 'RollingUpdate' or 'OnDelete'",
        )),
    }
}

fn retention(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let Some(policy) = tree::get(spec, "persistentVolumeClaimRetentionPolicy") else {
        return;
    };
    for name in ["whenDeleted", "whenScaled"] {
        checks::required_one_of(errors, policy, name, path, &["Delete", "Retain"]);
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    let closed = |set: &Value| {
        let mut spec = set.get("spec").cloned().unwrap_or_default();
        for name in OPEN {
            tree::remove(&mut spec, name);
        }
        spec
    };
    if !semantic_eq(Some(&closed(new)), Some(&closed(old))) {
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        errors.push(field::forbidden(&Path::new("spec"), detail));
    }
    errors
}

pub(super) fn validate_status_update(new: &Value, _old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status");
    let status = tree::get(new, "status").unwrap_or(&Value::Null);
    let counts = [
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
    ];
    for name in counts {
        checks::not_negative(&mut errors, status, name, &path);
    }
    let count = |name: &str| tree::int(status, name).unwrap_or(0);
    for name in [
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
    ] {
        if count(name) > count("replicas") {
            errors.push(field::invalid(
                &path.child(name),
                count(name),
                "cannot be greater than status.replicas",
            ));
        }
    }
    errors
}

pub(super) fn warnings(set: &Value) -> Vec<String> {
    spec_warnings::template(set, "spec.template")
}
