//! Where containers see volumes.

use std::collections::HashSet;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use super::volumes::{Volumes, relative_path};
use crate::checks;

/// Validates `volumeMounts` and `volumeDevices` of a container.
pub(super) fn validate(
    errors: &mut ErrorList,
    container: &Value,
    path: &Path,
    volumes: &Volumes<'_>,
) {
    let devices: HashSet<&str> = tree::list(container, "volumeDevices")
        .iter()
        .map(|device| tree::text(device, "devicePath"))
        .collect();
    let mut paths = HashSet::new();
    for (index, mount) in tree::list(container, "volumeMounts").iter().enumerate() {
        let at = path.child("volumeMounts").index(index);
        known(errors, mount, &at, volumes);
        let target = tree::text(mount, "mountPath");
        if target.is_empty() {
            errors.push(field::required(&at.child("mountPath"), ""));
        }
        if !paths.insert(target) {
            errors.push(field::invalid(
                &at.child("mountPath"),
                target,
                "must be unique",
            ));
        }
        if devices.contains(target) {
            errors.push(field::invalid(
                &at.child("mountPath"),
                target,
                "must not already exist as a path in volumeDevices",
            ));
        }
        sub_path(errors, mount, &at);
        propagation(errors, mount, &at, container);
    }
    let mut paths = HashSet::new();
    for (index, device) in tree::list(container, "volumeDevices").iter().enumerate() {
        let at = path.child("volumeDevices").index(index);
        known(errors, device, &at, volumes);
        let target = tree::text(device, "devicePath");
        if target.is_empty() {
            errors.push(field::required(&at.child("devicePath"), ""));
        } else if !paths.insert(target) {
            errors.push(field::invalid(
                &at.child("devicePath"),
                target,
                "must be unique",
            ));
        }
    }
}

fn known(errors: &mut ErrorList, user: &Value, path: &Path, volumes: &Volumes<'_>) {
    let name = tree::text(user, "name");
    if name.is_empty() {
        errors.push(field::required(&path.child("name"), ""));
    } else if !volumes.contains(name) {
        errors.push(field::not_found(&path.child("name"), name));
    }
}

fn sub_path(errors: &mut ErrorList, mount: &Value, path: &Path) {
    let (plain, expression) = (
        tree::text(mount, "subPath"),
        tree::text(mount, "subPathExpr"),
    );
    if !plain.is_empty() {
        relative_path(errors, plain, &path.child("subPath"));
    }
    if !expression.is_empty() {
        if !plain.is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            errors.push(field::invalid(
                &path.child("subPathExpr"),
                expression,
                detail,
            ));
        }
        relative_path(errors, expression, &path.child("subPathExpr"));
    }
}

fn propagation(errors: &mut ErrorList, mount: &Value, path: &Path, container: &Value) {
    let supported = ["Bidirectional", "HostToContainer", "None"];
    checks::one_of(errors, mount, "mountPropagation", path, &supported);
    let privileged = tree::flag(container, "securityContext.privileged");
    if tree::text(mount, "mountPropagation") == "Bidirectional" && !privileged {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(field::forbidden(&path.child("mountPropagation"), detail));
    }
    let recursive = tree::text(mount, "recursiveReadOnly");
    checks::one_of(
        errors,
        mount,
        "recursiveReadOnly",
        path,
        &["Disabled", "Enabled", "IfPossible"],
    );
    if matches!(recursive, "Enabled" | "IfPossible") {
        if !tree::flag(mount, "readOnly") {
            let detail = "may only be specified when readOnly is true";
            errors.push(field::forbidden(&path.child("recursiveReadOnly"), detail));
        }
        if !matches!(tree::text(mount, "mountPropagation"), "" | "None") {
            let detail = "may only be specified when mountPropagation is None or not specified";
            errors.push(field::forbidden(&path.child("recursiveReadOnly"), detail));
        }
    }
}
