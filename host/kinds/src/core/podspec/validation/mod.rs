//! Validation of pod specs and pod templates (`ValidatePodSpec` of `pkg/apis/core/validation`).

mod affinity;
mod containers;
mod env;
mod handlers;
mod mounts;
mod network;
mod ports;
pub(crate) mod resources;
mod scheduling;
mod security;
pub(crate) mod volumes;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};
use crate::object_meta;

pub(crate) use affinity::node_selector;
pub(crate) use scheduling::tolerations;

/// Errors of the pod spec `spec`, found at `path`.
pub(crate) fn pod_spec(spec: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let volumes = volumes::validate(&mut errors, spec, &path.child("volumes"));
    containers::validate(&mut errors, spec, path, &volumes);
    resources::pod_level(&mut errors, spec, path);
    checks::required_one_of(
        &mut errors,
        spec,
        "restartPolicy",
        path,
        &["Always", "Never", "OnFailure"],
    );
    network::dns(&mut errors, spec, path);
    errors.append(object_meta::validate_labels(
        spec,
        "nodeSelector",
        &path.child("nodeSelector"),
    ));
    security::pod(&mut errors, spec, path);
    affinity::validate(&mut errors, spec, &path.child("affinity"));
    scheduling::validate(&mut errors, spec, path);
    identity(&mut errors, spec, path);
    network::hosts(&mut errors, spec, path);
    tolerations(&mut errors, spec, &path.child("tolerations"));
    preemption(&mut errors, spec, path);
    errors
}

/// Errors of the pod template at `path`: its labels, annotations and spec.
pub(crate) fn template(template: Option<&Value>, path: &Path) -> ErrorList {
    let Some(template) = template else {
        return field::required(path, "").into();
    };
    let mut errors = metadata(template, path);
    let empty = Value::Object(serde_json::Map::new());
    errors.append(pod_spec(
        tree::get(template, "spec").unwrap_or(&empty),
        &path.child("spec"),
    ));
    if tree::has(template, "spec.ephemeralContainers") {
        errors.push(field::forbidden(
            &path.child("spec.ephemeralContainers"),
            "ephemeral containers not allowed in pod template",
        ));
    }
    errors
}

fn metadata(template: &Value, path: &Path) -> ErrorList {
    let empty = Value::Null;
    let meta = tree::get(template, "metadata").unwrap_or(&empty);
    let mut errors = object_meta::validate_labels(meta, "labels", &path.child("labels"));
    errors.append(object_meta::validate_annotations(
        meta,
        &path.child("annotations"),
    ));
    errors
}

/// Names by which a pod refers to other objects.
fn identity(errors: &mut ErrorList, spec: &Value, path: &Path) {
    for name in [
        "serviceAccountName",
        "nodeName",
        "runtimeClassName",
        "priorityClassName",
    ] {
        let value = tree::text(spec, name);
        if !value.is_empty() {
            errors.check(&path.child(name), value, names::is_dns1123_subdomain(value));
        }
    }
    if let Some(deadline) = tree::int(spec, "activeDeadlineSeconds") {
        let outcome = names::in_range(deadline, 1, i64::from(i32::MAX));
        errors.check(&path.child("activeDeadlineSeconds"), deadline, outcome);
    }
    for name in ["hostname", "subdomain"] {
        let value = tree::text(spec, name);
        if !value.is_empty() {
            errors.check(&path.child(name), value, names::is_dns1123_label(value));
        }
    }
    if let Some(os) = tree::get(spec, "os") {
        checks::required_one_of(errors, os, "name", &path.child("os"), &["linux", "windows"]);
    }
}

fn preemption(errors: &mut ErrorList, spec: &Value, path: &Path) {
    checks::one_of(
        errors,
        spec,
        "preemptionPolicy",
        path,
        &["Never", "PreemptLowerPriority"],
    );
    resources::list(errors, spec, "overhead", path);
}
