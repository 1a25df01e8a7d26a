//! Containers of all three lists.

use std::collections::HashSet;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::volumes::Volumes;
use super::{env, handlers, mounts, ports, resources, restart, security};
use crate::checks::{self, Check};

/// Validates `containers`, `initContainers` and `ephemeralContainers`, in upstream's order.
pub(super) fn validate(errors: &mut ErrorList, spec: &Value, path: &Path, volumes: &Volumes<'_>) {
    let mut names = HashSet::new();
    let regular = path.child("containers");
    if tree::list(spec, "containers").is_empty() {
        errors.push(field::required(&regular, ""));
    }
    for (index, container) in tree::list(spec, "containers").iter().enumerate() {
        let at = regular.index(index);
        common(errors, container, &at, volumes, spec);
        unique(errors, container, &at, &mut names);
        let grace = tree::int(spec, "terminationGracePeriodSeconds");
        handlers::lifecycle(errors, container, &at, grace);
        handlers::probes(errors, container, &at, grace);
        restart::policy(errors, container, &at);
    }
    ports::host_conflicts(errors, tree::list(spec, "containers"), &regular);
    for (index, container) in tree::list(spec, "initContainers").iter().enumerate() {
        let at = path.child("initContainers").index(index);
        common(errors, container, &at, volumes, spec);
        restart::policy(errors, container, &at);
        unique(errors, container, &at, &mut names);
        // They run one by one.
        let alone = std::slice::from_ref(container);
        ports::host_conflicts(errors, alone, &path.child("initContainers"));
        init(errors, container, &at, spec);
    }
    for (index, container) in tree::list(spec, "ephemeralContainers").iter().enumerate() {
        let at = path.child("ephemeralContainers").index(index);
        common(errors, container, &at, volumes, spec);
        unique(errors, container, &at, &mut names);
        ephemeral(errors, container, &at, spec);
    }
}

fn unique<'a>(
    errors: &mut ErrorList,
    container: &'a Value,
    path: &Path,
    names: &mut HashSet<&'a str>,
) {
    let name = tree::text(container, "name");
    if !name.is_empty() && !names.insert(name) {
        errors.push(field::duplicate(&path.child("name"), name));
    }
}

fn common(
    errors: &mut ErrorList,
    container: &Value,
    path: &Path,
    volumes: &Volumes<'_>,
    spec: &Value,
) {
    if checks::required(errors, container, "name", path, "") {
        let name = tree::text(container, "name");
        errors.check(&path.child("name"), name, names::is_dns1123_label(name));
    }
    checks::required(errors, container, "image", path, "");
    checks::one_of(
        errors,
        container,
        "terminationMessagePolicy",
        path,
        &["File", "FallbackToLogsOnError"],
    );
    ports::validate(errors, container, &path.child("ports"));
    env::validate(errors, container, &path.child("env"));
    env::validate_from(errors, container, &path.child("envFrom"));
    mounts::validate(errors, container, path, volumes);
    checks::one_of(
        errors,
        container,
        "imagePullPolicy",
        path,
        &["Always", "IfNotPresent", "Never"],
    );
    resources::of_container(errors, container, &path.child("resources"), spec);
    restart::resize(errors, container, &path.child("resizePolicy"), spec);
    let host_users = tree::get(spec, "hostUsers") != Some(&Value::Bool(false));
    security::container(
        errors,
        container,
        &path.child("securityContext"),
        host_users,
    );
}

/// Init containers run to their end, so nothing may watch them, unless they are sidecars.
fn init(errors: &mut ErrorList, container: &Value, path: &Path, spec: &Value) {
    if tree::text(container, "restartPolicy") == "Always" {
        let grace = tree::int(spec, "terminationGracePeriodSeconds");
        handlers::lifecycle(errors, container, path, grace);
        handlers::probes(errors, container, path, grace);
        return;
    }
    for name in [
        "lifecycle",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
    ] {
        if tree::get(container, name).is_some() {
            let detail = "may not be set for init containers without restartPolicy=Always";
            errors.push(field::forbidden(&path.child(name), detail));
        }
    }
    for (index, policy) in tree::list(container, "resizePolicy").iter().enumerate() {
        if tree::text(policy, "restartPolicy") == "RestartContainer" {
            let at = path.child("resizePolicy").index(index);
            let detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
            errors.push(field::invalid(
                &at.child("restartPolicy"),
                "RestartContainer",
                detail,
            ));
        }
    }
}

/// What a container for a look around may not have, in the order of the Go struct.
const NOT_EPHEMERAL: [&str; 8] = [
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];

fn ephemeral(errors: &mut ErrorList, container: &Value, path: &Path, spec: &Value) {
    image_is_trimmed(errors, container, path);
    let target = tree::text(container, "targetContainerName");
    let known = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| tree::list(spec, list))
        .any(|other| tree::text(other, "name") == target);
    if !target.is_empty() && !known {
        errors.push(field::not_found(&path.child("targetContainerName"), target));
    }
    let detail = "cannot be set for an Ephemeral Container";
    for name in NOT_EPHEMERAL {
        if tree::has(container, name) {
            errors.push(field::forbidden(&path.child(name), detail));
        }
    }
    for (index, mount) in tree::list(container, "volumeMounts").iter().enumerate() {
        let at = path.child("volumeMounts").index(index);
        for name in ["subPath", "subPathExpr"] {
            if tree::has(mount, name) {
                errors.push(field::forbidden(&at.child(name), detail));
            }
        }
    }
}

/// Validates what pods demand of their containers and templates do not.
pub(crate) fn of_pod(errors: &mut ErrorList, spec: &Value, path: &Path) {
    for list in ["containers", "initContainers"] {
        for (index, container) in tree::list(spec, list).iter().enumerate() {
            image_is_trimmed(errors, container, &path.child(list).index(index));
        }
    }
}

/// Validates the image of a container of a pod that is there (`ValidateContainerUpdates`).
pub(crate) fn image(errors: &mut ErrorList, container: &Value, path: &Path) {
    checks::required(errors, container, "image", path, "");
    image_is_trimmed(errors, container, path);
}

fn image_is_trimmed(errors: &mut ErrorList, container: &Value, path: &Path) {
    let image = tree::text(container, "image");
    if image.trim() != image {
        let detail = "must not have leading or trailing whitespace";
        errors.push(field::invalid(&path.child("image"), image, detail));
    }
}
