//! Containers of all three lists.

use std::collections::HashSet;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::volumes::Volumes;
use super::{env, handlers, mounts, ports, resources, security};
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
        handlers::lifecycle(errors, container, &at);
        handlers::probes(errors, container, &at);
        checks::one_of(
            errors,
            container,
            "restartPolicy",
            &at,
            &["Always", "Never", "OnFailure"],
        );
    }
    ports::host_conflicts(errors, tree::list(spec, "containers"), &regular);
    for (index, container) in tree::list(spec, "initContainers").iter().enumerate() {
        let at = path.child("initContainers").index(index);
        common(errors, container, &at, volumes, spec);
        unique(errors, container, &at, &mut names);
        init(errors, container, &at);
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
    let image = tree::text(container, "image");
    if image.is_empty() {
        errors.push(field::required(&path.child("image"), ""));
    } else if image.trim() != image {
        errors.push(field::invalid(
            &path.child("image"),
            image,
            "must not have leading or trailing whitespace",
        ));
    }
    checks::one_of(
        errors,
        container,
        "terminationMessagePolicy",
        path,
        &["FallbackToLogsOnError", "File"],
    );
    let host_network = tree::flag(spec, "hostNetwork");
    ports::validate(errors, container, &path.child("ports"), host_network);
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
    resources::requirements(errors, container, &path.child("resources"));
    for (index, policy) in tree::list(container, "resizePolicy").iter().enumerate() {
        let at = path.child("resizePolicy").index(index);
        checks::required_one_of(errors, policy, "resourceName", &at, &["cpu", "memory"]);
        checks::required_one_of(
            errors,
            policy,
            "restartPolicy",
            &at,
            &["NotRequired", "RestartContainer"],
        );
    }
    let host_users = tree::get(spec, "hostUsers") != Some(&Value::Bool(false));
    security::container(
        errors,
        container,
        &path.child("securityContext"),
        host_users,
    );
}

/// Init containers run to their end, so nothing may watch them, unless they are sidecars.
fn init(errors: &mut ErrorList, container: &Value, path: &Path) {
    checks::one_of(
        errors,
        container,
        "restartPolicy",
        path,
        &["Always", "Never", "OnFailure"],
    );
    if tree::text(container, "restartPolicy") == "Always" {
        handlers::lifecycle(errors, container, path);
        handlers::probes(errors, container, path);
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
}

fn ephemeral(errors: &mut ErrorList, container: &Value, path: &Path, spec: &Value) {
    for name in [
        "ports",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle",
        "resizePolicy",
    ] {
        if tree::has(container, name) {
            errors.push(field::forbidden(
                &path.child(name),
                "cannot be set for an Ephemeral Container",
            ));
        }
    }
    if tree::has(container, "resources") {
        errors.push(field::forbidden(
            &path.child("resources"),
            "cannot be set for an Ephemeral Container",
        ));
    }
    let target = tree::text(container, "targetContainerName");
    let known = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| tree::list(spec, list))
        .any(|other| tree::text(other, "name") == target);
    if !target.is_empty() && !known {
        errors.push(field::not_found(&path.child("targetContainerName"), target));
    }
}
