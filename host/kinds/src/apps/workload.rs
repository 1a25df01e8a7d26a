//! Rules that the workload kinds share: selector, template, replica counts.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{object, tree};
use serde_json::Value;

use crate::checks;
use crate::core::podspec::validation;

/// Validates a required `selector` that must select something and match the template's labels.
pub(crate) fn selector(errors: &mut ErrorList, spec: &Value, path: &Path, kind: &str) {
    let at = path.child("selector");
    let Some(selector) = tree::get(spec, "selector") else {
        errors.push(field::required(&at, ""));
        return;
    };
    errors.append(checks::label_selector(selector, &at));
    if checks::selects_all(selector) {
        errors.push(field::invalid(
            &at,
            selector,
            format!("empty selector is invalid for {kind}"),
        ));
    }
}

/// Validates that the selector finds the pods that the template makes. False when it is malformed and finds
/// none.
pub(crate) fn matches(errors: &mut ErrorList, spec: &Value, path: &Path) -> bool {
    let Some(selector) = checks::read_selector(tree::get(spec, "selector")) else {
        return false;
    };
    let labels = tree::get(spec, "template.metadata.labels");
    if !selector.matches_labels(&object::string_map(labels)) {
        let detail = "`selector` does not match template `labels`";
        let at = path.child("template.metadata.labels");
        errors.push(field::invalid(&at, labels, detail));
    }
    true
}

/// Validates the template of a workload whose pods are always restarted.
pub(crate) fn template(errors: &mut ErrorList, spec: &Value, path: &Path, kind: &str) {
    let at = path.child("template");
    errors.append(validation::template(tree::get(spec, "template"), &at));
    always_restarted(errors, spec, path, kind);
}

/// Validates what a template says of the end of its pods.
pub(crate) fn always_restarted(errors: &mut ErrorList, spec: &Value, path: &Path, kind: &str) {
    let at = path.child("template.spec");
    let policy = tree::text(spec, "template.spec.restartPolicy");
    if !policy.is_empty() && policy != "Always" {
        let at = at.child("restartPolicy");
        errors.push(field::not_supported(&at, policy, &["Always"]));
    }
    if tree::get(spec, "template.spec.activeDeadlineSeconds").is_some() {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.push(field::forbidden(&at.child("activeDeadlineSeconds"), detail));
    }
}

/// Validates selector and template of a workload that makes ReplicaSets, or is one.
pub(crate) fn selected_template(errors: &mut ErrorList, spec: &Value, path: &Path) {
    // Upstream's ReplicaSets speak of a deployment, too.
    selector(errors, spec, path, "deployment");
    if matches(errors, spec, path) {
        template(errors, spec, path, "ReplicaSet");
    } else {
        let shown = tree::get(spec, "selector");
        let at = path.child("selector");
        errors.push(field::invalid(&at, shown, "invalid label selector"));
    }
}

/// Validates the counts in the status of a replica set or replication controller.
pub(crate) fn replica_status(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status");
    let status = tree::get(object, "status").unwrap_or(&Value::Null);
    for name in [
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "observedGeneration",
        "terminatingReplicas",
    ] {
        checks::not_negative(&mut errors, status, name, &path);
    }
    let count = |name: &str| tree::int(status, name).unwrap_or(0);
    for name in ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"] {
        if count(name) > count("replicas") {
            let detail = "cannot be greater than status.replicas";
            errors.push(field::invalid(&path.child(name), count(name), detail));
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
    errors
}
