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
    let devices = places(container, "volumeDevices", "devicePath");
    let list = path.child("volumeMounts");
    let mut paths = HashSet::new();
    for (index, mount) in tree::list(container, "volumeMounts").iter().enumerate() {
        let at = list.index(index);
        known(errors, mount, &at, volumes);
        let target = tree::text(mount, "mountPath");
        checks::required(errors, mount, "mountPath", &at, "");
        if !paths.insert(target) {
            let detail = "must be unique";
            errors.push(field::invalid(&at.child("mountPath"), target, detail));
        }
        apart(errors, mount, "mountPath", &at, (&devices, "volumeDevices"));
        // Upstream names the list here, not its member.
        sub_path(errors, mount, &at, &list);
        propagation(errors, mount, &list, container);
    }
    let mounts = places(container, "volumeMounts", "mountPath");
    self::devices(errors, container, path, volumes, &mounts);
}

/// Names of volumes and where a container has them.
type Places<'a> = Vec<(&'a str, &'a str)>;

fn places<'a>(container: &'a Value, list: &str, path: &str) -> Places<'a> {
    tree::list(container, list)
        .iter()
        .map(|user| (tree::text(user, "name"), tree::text(user, path)))
        .collect()
}

fn devices(
    errors: &mut ErrorList,
    container: &Value,
    path: &Path,
    volumes: &Volumes<'_>,
    mounts: &Places<'_>,
) {
    let (mut paths, mut names) = (HashSet::new(), HashSet::new());
    for (index, device) in tree::list(container, "volumeDevices").iter().enumerate() {
        let at = path.child("volumeDevices").index(index);
        let name = tree::text(device, "name");
        checks::required(errors, device, "name", &at, "");
        if !name.is_empty() && !names.insert(name) {
            errors.push(field::invalid(&at.child("name"), name, "must be unique"));
        }
        match volumes.get(name) {
            None => errors.push(field::not_found(&at.child("name"), name)),
            Some(volume) if !is_claim(volume) => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(field::invalid(&at.child("name"), name, detail));
            }
            Some(_) => {}
        }
        device_path(errors, device, &at, &mut paths);
        apart(errors, device, "devicePath", &at, (mounts, "volumeMounts"));
    }
}

fn device_path<'a>(
    errors: &mut ErrorList,
    device: &'a Value,
    path: &Path,
    seen: &mut HashSet<&'a str>,
) {
    let (target, at) = (tree::text(device, "devicePath"), path.child("devicePath"));
    checks::required(errors, device, "devicePath", path, "");
    if seen.contains(target) {
        errors.push(field::invalid(&at, target, "must be unique"));
    }
    if target.split('/').any(|part| part == "..") {
        let detail = "can not contain backsteps ('..')";
        errors.push(field::invalid(&at, target, detail));
    } else {
        seen.insert(target);
    }
}

fn is_claim(volume: &Value) -> bool {
    ["persistentVolumeClaim", "ephemeral"]
        .iter()
        .any(|kind| tree::get(volume, kind).is_some())
}

/// A volume is either mounted or a device, and both are at places of their own.
fn apart(
    errors: &mut ErrorList,
    user: &Value,
    field: &str,
    path: &Path,
    (others, list): (&Places<'_>, &str),
) {
    let (name, target) = (tree::text(user, "name"), tree::text(user, field));
    if others.iter().any(|(other, _)| *other == name) {
        let detail = format!("must not already exist in {list}");
        errors.push(field::invalid(&path.child("name"), name, detail));
    }
    if others.iter().any(|(_, other)| *other == target) {
        let detail = format!("must not already exist as a path in {list}");
        errors.push(field::invalid(&path.child(field), target, detail));
    }
}

fn known(errors: &mut ErrorList, user: &Value, path: &Path, volumes: &Volumes<'_>) {
    let name = tree::text(user, "name");
    checks::required(errors, user, "name", path, "");
    if !volumes.contains_key(name) {
        errors.push(field::not_found(&path.child("name"), name));
    }
}

fn sub_path(errors: &mut ErrorList, mount: &Value, path: &Path, list: &Path) {
    let (plain, expression) = (
        tree::text(mount, "subPath"),
        tree::text(mount, "subPathExpr"),
    );
    if !plain.is_empty() {
        relative_path(errors, plain, &list.child("subPath"));
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
        relative_path(errors, expression, &list.child("subPathExpr"));
    }
}

fn propagation(errors: &mut ErrorList, mount: &Value, path: &Path, container: &Value) {
    let supported = ["Bidirectional", "HostToContainer", "None"];
    checks::supported(errors, mount, "mountPropagation", path, &supported);
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
