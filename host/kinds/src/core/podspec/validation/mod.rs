//! Validation of pod specs and pod templates (`ValidatePodSpec` of `pkg/apis/core/validation`).

mod affinity;
pub(crate) mod annotations;
mod claims;
pub(crate) mod containers;
mod env;
mod handlers;
mod mounts;
mod network;
mod ports;
mod projected;
pub(crate) mod resource_names;
pub(crate) mod resources;
mod restart;
pub(crate) mod scheduling;
pub(crate) mod security;
pub(crate) mod sources;
mod volumes;
mod windows;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};
use crate::object_meta;

pub(crate) use affinity::node_selector;
pub(crate) use scheduling::tolerations;

/// Errors of the pod spec `spec`, found at `path`. `meta` is the metadata of the pod, null in a template.
pub(crate) fn pod_spec(spec: &Value, path: &Path, meta: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let name = tree::text(meta, "name");
    let volumes = volumes::validate(&mut errors, spec, &path.child("volumes"), name);
    claims::declared(&mut errors, spec, &path.child("resourceClaims"), meta);
    containers::validate(&mut errors, spec, path, &volumes);
    resources::of_pod(&mut errors, spec, path);
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
    windows::host_processes(&mut errors, spec, path);
    security::host_users(&mut errors, spec, path);
    network::hostname_override(&mut errors, spec, path);
    for name in ["serviceAccountName", "nodeName"] {
        subdomain(&mut errors, spec, name, path);
    }
    identity(&mut errors, spec, path);
    tolerations(&mut errors, spec, &path.child("tolerations"));
    network::hosts(&mut errors, spec, path);
    subdomain(&mut errors, spec, "priorityClassName", path);
    classes(&mut errors, spec, path);
    system(&mut errors, spec, path);
    volumes::of_variables(&mut errors, spec, path);
    errors
}

/// Errors of the pod template at `path`: its labels, annotations and spec.
pub(crate) fn template(template: Option<&Value>, path: &Path) -> ErrorList {
    let Some(template) = template else {
        return field::required(path, "").into();
    };
    let meta = tree::get(template, "metadata").unwrap_or(&Value::Null);
    let spec = tree::get(template, "spec").unwrap_or(&Value::Null);
    let mut errors = object_meta::validate_labels(meta, "labels", &path.child("labels"));
    let at = path.child("annotations");
    errors.append(object_meta::validate_annotations(meta, &at));
    annotations::validate(&mut errors, meta, spec, &at);
    errors.append(pod_spec(spec, &path.child("spec"), &Value::Null));
    annotations::profiles_match(&mut errors, meta, spec, &path.child("spec"));
    if tree::has(template, "spec.ephemeralContainers") {
        errors.push(field::forbidden(
            &path.child("spec.ephemeralContainers"),
            "ephemeral containers not allowed in pod template",
        ));
    }
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
        // Upstream names the struct, not its name.
        errors.push(field::not_supported(&at, name, &["linux", "windows"]));
    }
    security::of_system(errors, spec, name, path);
}

/// The runtime class and what the pod costs with it, and whether the pod may drive out others.
fn classes(errors: &mut ErrorList, spec: &Value, path: &Path) {
    if let Some(class) = tree::get(spec, "runtimeClassName").and_then(Value::as_str) {
        let outcome = names::is_dns1123_subdomain(class);
        errors.check(&path.child("runtimeClassName"), class, outcome);
    }
    let policies = ["PreemptLowerPriority", "Never"];
    if tree::get(spec, "preemptionPolicy").is_some() {
        checks::required_one_of(errors, spec, "preemptionPolicy", path, &policies);
    }
    resources::overhead(errors, spec, "overhead", &path.child("overhead"));
}
