//! Volumes of a pod.

use std::collections::HashMap;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::quote::quote;
use k3s_meta::{Quantity, names, tree};
use serde_json::Value;

use super::sources::{self, Owner};
use super::{env, projected};
use crate::checks::{self, Check};
use crate::core::persistentvolumeclaim;
use crate::core::podspec::defaults::CONTAINER_LISTS;
use crate::object_meta;
use crate::quantity;

/// The volumes that containers may mount, by name.
pub(super) type Volumes<'a> = HashMap<&'a str, &'a Value>;

/// Kinds of volumes in the order in which a second one is noticed.
const KINDS: [&str; 30] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

const MORE_THAN_ONE: &str = "may not specify more than 1 volume type";
const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
const HOST_PATH_TYPES: [&str; 8] = [
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

/// Validates `volumes` of a pod spec and gives the names of those that are usable. `pod` is the name of the
/// pod, empty in a template.
pub(super) fn validate<'a>(
    errors: &mut ErrorList,
    spec: &'a Value,
    path: &Path,
    pod: &str,
) -> Volumes<'a> {
    let mut known = Volumes::new();
    let volumes = tree::list(spec, "volumes");
    for (index, volume) in volumes.iter().enumerate() {
        let at = path.index(index);
        let before = errors.len();
        source(errors, volume, &at, pod);
        let name = tree::text(volume, "name");
        if name.is_empty() {
            errors.push(field::required(&at.child("name"), ""));
        } else {
            errors.check(&at.child("name"), name, names::is_dns1123_label(name));
        }
        if known.contains_key(name) {
            errors.push(field::duplicate(&at.child("name"), name));
        }
        if errors.len() == before {
            known.insert(name, volume);
        }
        let claim = tree::text(volume, "persistentVolumeClaim.claimName");
        if makes_claim(volumes, pod, claim) {
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            let at = at.child("persistentVolumeClaim.claimName");
            errors.push(field::invalid(&at, claim, detail));
        }
    }
    known
}

/// Whether the claim of this name is made for one of the volumes of the pod.
fn makes_claim(volumes: &[Value], pod: &str, claim: &str) -> bool {
    let of_pod = claim.strip_prefix(pod).and_then(|it| it.strip_prefix('-'));
    let Some(wanted) = of_pod.filter(|_| !pod.is_empty()) else {
        return false;
    };
    volumes.iter().any(|volume| {
        tree::text(volume, "name") == wanted && tree::get(volume, "ephemeral").is_some()
    })
}

fn source(errors: &mut ErrorList, volume: &Value, path: &Path, pod: &str) {
    let given = KINDS
        .iter()
        .filter_map(|kind| Some((*kind, tree::get(volume, kind)?)));
    let mut count = 0;
    for (kind, source) in given {
        count += 1;
        if count == 1 {
            typed(errors, kind, source, path);
            // The reference of a template may come later.
            if kind == "image" && !pod.is_empty() {
                checks::required(errors, source, "reference", &path.child(kind), "");
            }
            if kind == "ephemeral" {
                claim_name(errors, volume, path, pod);
            }
        } else {
            // Upstream writes two kinds in its own way here.
            let at = path.child(match kind {
                "cephfs" => "cephFS",
                "downwardAPI" => "downwarAPI",
                kind => kind,
            });
            errors.push(field::forbidden(&at, MORE_THAN_ONE));
        }
        if kind == "iscsi" {
            let name = tree::text(volume, "name");
            sources::session_of_pod(errors, source, name, &path.child("name"));
        }
    }
    if count == 0 {
        errors.push(field::required(path, "must specify a volume type"));
    }
}

/// The claim that is made for an ephemeral volume is named after pod and volume.
fn claim_name(errors: &mut ErrorList, volume: &Value, path: &Path, pod: &str) {
    let name = tree::text(volume, "name");
    if pod.is_empty() || name.is_empty() {
        return;
    }
    let claim = format!("{pod}-{name}");
    let outcome = names::is_dns1123_subdomain(&claim);
    for message in outcome.err().into_iter().flatten() {
        let detail = format!("PVC name {}: {message}", quote(&claim));
        errors.push(field::invalid(&path.child("name"), name, detail));
    }
}

fn typed(errors: &mut ErrorList, kind: &str, source: &Value, path: &Path) {
    let at = path.child(kind);
    match kind {
        "emptyDir" => {
            let limit = tree::get(source, "sizeLimit").and_then(quantity::read);
            if limit.is_some_and(Quantity::is_negative) {
                let detail = "SizeLimit field must be a valid resource quantity";
                errors.push(field::forbidden(&at.child("sizeLimit"), detail));
            }
        }
        "secret" => {
            checks::required(errors, source, "secretName", &at, "");
            modes(errors, source, "defaultMode", &at);
            key_paths(errors, source, &at);
        }
        "configMap" => {
            checks::required(errors, source, "name", &at, "");
            modes(errors, source, "defaultMode", &at);
            key_paths(errors, source, &at);
        }
        "downwardAPI" => {
            modes(errors, source, "defaultMode", &at);
            // Upstream names the volume here, not the item.
            for item in tree::list(source, "items") {
                downward_item(errors, item, &at);
            }
        }
        "projected" => {
            modes(errors, source, "defaultMode", &at);
            projected::validate(errors, source, &at);
        }
        "ephemeral" => claim_template(errors, source, &at.child("volumeClaimTemplate")),
        "image" => {
            checks::required_one_of(errors, source, "pullPolicy", &at, &PULL_POLICIES);
        }
        kind => sources::validate(errors, kind, source, path, Owner::Pod),
    }
}

/// The claim that an ephemeral volume becomes: of its metadata, only labels and annotations may be set.
fn claim_template(errors: &mut ErrorList, source: &Value, path: &Path) {
    let Some(template) = tree::get(source, "volumeClaimTemplate") else {
        errors.push(field::required(path, ""));
        return;
    };
    let meta = tree::get(template, "metadata").unwrap_or(&Value::Null);
    errors.append(object_meta::validate_template_meta(
        meta,
        &path.child("metadata"),
    ));
    let spec = tree::get(template, "spec").unwrap_or(&Value::Null);
    persistentvolumeclaim::validation::spec(errors, spec, &path.child("spec"), true);
}

/// Validates a path of the host.
pub(super) fn host_path(errors: &mut ErrorList, source: &Value, path: &Path) {
    if !checks::required(errors, source, "path", path, "") {
        return;
    }
    no_backsteps(errors, tree::text(source, "path"), &path.child("path"));
    checks::supported(errors, source, "type", path, &HOST_PATH_TYPES);
}

fn modes(errors: &mut ErrorList, holder: &Value, name: &str, path: &Path) {
    if let Some(mode) = tree::int(holder, name)
        && !(0..=0o777).contains(&mode)
    {
        errors.push(field::invalid(&path.child(name), mode, MODE));
    }
}

/// The keys that a volume shows, and where.
pub(super) fn key_paths(errors: &mut ErrorList, source: &Value, path: &Path) {
    for (index, item) in tree::list(source, "items").iter().enumerate() {
        let at = path.child("items").index(index);
        checks::required(errors, item, "key", &at, "");
        file_path(errors, item, &at);
        modes(errors, item, "mode", &at);
    }
}

/// A file of a downward API volume.
pub(super) fn downward_item(errors: &mut ErrorList, item: &Value, path: &Path) {
    file_path(errors, item, path);
    env::downward_file(errors, item, path);
    modes(errors, item, "mode", path);
}

/// The place of a file in its volume.
pub(super) fn file_path(errors: &mut ErrorList, holder: &Value, path: &Path) {
    checks::required(errors, holder, "path", path, "");
    place(errors, tree::text(holder, "path"), &path.child("path"));
}

/// A place below the root of a volume (`ValidateLocalNonReservedPath`).
pub(super) fn place(errors: &mut ErrorList, file: &str, path: &Path) {
    relative_path(errors, file, path);
    // A directory entry that begins so is the updater's own.
    if file.starts_with("..") && !file.starts_with("../") {
        errors.push(field::invalid(path, file, "must not start with '..'"));
    }
}

/// Volumes of which variables read files are empty directories (`validateFileKeyRefVolumes`).
pub(super) fn of_variables(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let find = |name: &str| {
        let all = tree::list(spec, "volumes").iter();
        all.rev().find(|volume| tree::text(volume, "name") == name)
    };
    for list in CONTAINER_LISTS {
        for (index, container) in tree::list(spec, list).iter().enumerate() {
            let at = path.child(list).index(index).child("env");
            for (number, variable) in tree::list(container, "env").iter().enumerate() {
                let Some(reference) = tree::get(variable, "valueFrom.fileKeyRef") else {
                    continue;
                };
                let name = tree::text(reference, "volumeName");
                let at = at.index(number).child("valueFrom.fileKeyRef.volumeName");
                match find(name) {
                    None => errors.push(field::not_found(&at, name)),
                    Some(volume) if tree::get(volume, "emptyDir").is_none() => {
                        let detail = "referenced volume must be of type emptyDir";
                        errors.push(field::invalid(&at, name, detail));
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

/// A path that stays below the directory it starts from.
pub(super) fn relative_path(errors: &mut ErrorList, text: &str, path: &Path) {
    if text.starts_with('/') {
        errors.push(field::invalid(path, text, "must be a relative path"));
    }
    no_backsteps(errors, text, path);
}

pub(super) fn no_backsteps(errors: &mut ErrorList, text: &str, path: &Path) {
    if text.split('/').any(|part| part == "..") {
        errors.push(field::invalid(path, text, "must not contain '..'"));
    }
}
