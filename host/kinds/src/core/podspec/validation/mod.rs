//! Validation of pod specs and pod templates (`ValidatePodSpec` of `pkg/apis/core/validation`).

mod affinity;
mod claims;
pub(crate) mod containers;
mod env;
mod handlers;
mod mounts;
mod network;
mod ports;
pub(crate) mod resources;
mod restart;
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
    claims::declared(&mut errors, spec, &path.child("resourceClaims"));
    containers::validate(&mut errors, spec, path, &volumes);
    resources::pod_level(&mut errors, spec, path);
    ports::on_host_network(&mut errors, spec, path);
    let policies = ["Always", "OnFailure", "Never"];
    checks::required_one_of(&mut errors, spec, "restartPolicy", path, &policies);
    network::dns_policy(&mut errors, spec, path);
    errors.append(object_meta::validate_labels(
        spec,
        "nodeSelector",
        &path.child("nodeSelector"),
    ));
    security::pod(&mut errors, spec, path);
    affinity::validate(&mut errors, spec, &path.child("affinity"));
    network::dns_config(&mut errors, spec, &path.child("dnsConfig"));
    scheduling::validate(&mut errors, spec, path);
    security::host_users(&mut errors, spec, path);
    network::hostname_override(&mut errors, spec, path);
    for name in ["serviceAccountName", "nodeName"] {
        subdomain(&mut errors, spec, name, path);
    }
    identity(&mut errors, spec, path);
    tolerations(&mut errors, spec, &path.child("tolerations"));
    network::hosts(&mut errors, spec, path);
    for name in ["priorityClassName", "runtimeClassName"] {
        subdomain(&mut errors, spec, name, path);
    }
    preemption(&mut errors, spec, path);
    system(&mut errors, spec, path);
    volumes::of_variables(&mut errors, spec, path);
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

/// A name by which a pod refers to another object.
fn subdomain(errors: &mut ErrorList, spec: &Value, name: &str, path: &Path) {
    let value = tree::text(spec, name);
    if !value.is_empty() {
        errors.check(&path.child(name), value, names::is_dns1123_subdomain(value));
    }
}

/// How long the pod may run, and what it is called.
fn identity(errors: &mut ErrorList, spec: &Value, path: &Path) {
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
}

/// The operating system that the pod is for.
fn system(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let Some(os) = tree::get(spec, "os") else {
        return;
    };
    let (name, at) = (tree::text(os, "name"), path.child("os"));
    if name.is_empty() {
        errors.push(field::required(&at.child("name"), ""));
    } else if !["linux", "windows"].contains(&name) {
        errors.push(field::not_supported(&at, name, &["linux", "windows"]));
    }
    security::of_system(errors, spec, name, path);
}

fn preemption(errors: &mut ErrorList, spec: &Value, path: &Path) {
    checks::one_of(
        errors,
        spec,
        "preemptionPolicy",
        path,
        &["PreemptLowerPriority", "Never"],
    );
    resources::list(errors, spec, "overhead", path);
}
