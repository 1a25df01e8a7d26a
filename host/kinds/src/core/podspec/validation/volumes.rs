//! Volumes of a pod.

use std::collections::HashMap;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::env;
use crate::checks::{self, Check};
use crate::core::persistentvolumeclaim;
use crate::core::podspec::defaults::CONTAINER_LISTS;
use crate::quantity;

/// The volumes that containers may mount, by name.
pub(super) type Volumes<'a> = HashMap<&'a str, &'a Value>;

/// Kinds of volumes in the order in which a second one is noticed.
const KINDS: [&str; 29] = [
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
];

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

/// Validates `volumes` of a pod spec and gives the names of those that are usable.
pub(super) fn validate<'a>(errors: &mut ErrorList, spec: &'a Value, path: &Path) -> Volumes<'a> {
    let mut known = Volumes::new();
    for (index, volume) in tree::list(spec, "volumes").iter().enumerate() {
        let at = path.index(index);
        let before = errors.len();
        source(errors, volume, &at);
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
    }
    known
}

fn source(errors: &mut ErrorList, volume: &Value, path: &Path) {
    let mut given = 0;
    for (kind, source) in KINDS
        .iter()
        .chain(&["image"])
        .filter_map(|kind| Some((*kind, tree::get(volume, kind)?)))
    {
        let at = path.child(kind);
        given += 1;
        if given > 1 {
            errors.push(field::forbidden(
                &at,
                "may not specify more than 1 volume type",
            ));
        } else {
            typed(errors, kind, source, &at);
        }
    }
    if given == 0 {
        errors.push(field::required(path, "must specify a volume type"));
    }
}

fn typed(errors: &mut ErrorList, kind: &str, source: &Value, path: &Path) {
    match kind {
        "emptyDir" => {
            let limit = tree::get(source, "sizeLimit").and_then(quantity::read);
            if limit.is_some_and(|limit| limit.milli() < 0) {
                let detail = "SizeLimit field must be a valid resource quantity";
                errors.push(field::forbidden(&path.child("sizeLimit"), detail));
            }
        }
        "hostPath" => host_path(errors, source, path),
        "secret" => {
            checks::required(errors, source, "secretName", path, "");
            modes(errors, source, "defaultMode", path);
            key_paths(errors, source, path);
        }
        "configMap" => {
            checks::required(errors, source, "name", path, "");
            modes(errors, source, "defaultMode", path);
            key_paths(errors, source, path);
        }
        "downwardAPI" => {
            modes(errors, source, "defaultMode", path);
            downward(errors, source, path);
        }
        "projected" => {
            modes(errors, source, "defaultMode", path);
            projected(errors, source, path);
        }
        "persistentVolumeClaim" => {
            checks::required(errors, source, "claimName", path, "");
        }
        "nfs" => nfs(errors, source, path),
        "csi" => csi(errors, source, path),
        "ephemeral" => match tree::get(source, "volumeClaimTemplate.spec") {
            Some(spec) => persistentvolumeclaim::validation::spec(
                errors,
                spec,
                &path.child("volumeClaimTemplate.spec"),
            ),
            None => errors.push(field::required(&path.child("volumeClaimTemplate"), "")),
        },
        "image" => {
            checks::required(errors, source, "reference", path, "");
            checks::one_of(
                errors,
                source,
                "pullPolicy",
                path,
                &["Always", "IfNotPresent", "Never"],
            );
        }
        _ => {}
    }
}

/// Validates a path of the host; persistent volumes use one as well.
pub(crate) fn host_path(errors: &mut ErrorList, source: &Value, path: &Path) {
    if !checks::required(errors, source, "path", path, "") {
        return;
    }
    no_backsteps(errors, tree::text(source, "path"), &path.child("path"));
    let kind = tree::text(source, "type");
    if !HOST_PATH_TYPES.contains(&kind) {
        errors.push(field::not_supported(
            &path.child("type"),
            kind,
            &HOST_PATH_TYPES,
        ));
    }
}

/// Validates an NFS source.
pub(crate) fn nfs(errors: &mut ErrorList, source: &Value, path: &Path) {
    checks::required(errors, source, "server", path, "");
    checks::required(errors, source, "path", path, "");
    if !tree::text(source, "path").starts_with('/') {
        errors.push(field::invalid(
            &path.child("path"),
            tree::text(source, "path"),
            "must be an absolute path",
        ));
    }
}

/// Validates a CSI source.
pub(crate) fn csi(errors: &mut ErrorList, source: &Value, path: &Path) {
    if checks::required(errors, source, "driver", path, "") {
        let driver = tree::text(source, "driver");
        errors.check(
            &path.child("driver"),
            driver,
            names::is_dns1123_subdomain(&driver.to_lowercase()),
        );
    }
}

fn modes(errors: &mut ErrorList, holder: &Value, name: &str, path: &Path) {
    if let Some(mode) = tree::int(holder, name)
        && !(0..=0o777).contains(&mode)
    {
        errors.push(field::invalid(&path.child(name), mode, MODE));
    }
}

fn key_paths(errors: &mut ErrorList, source: &Value, path: &Path) {
    for (index, item) in tree::list(source, "items").iter().enumerate() {
        let at = path.child("items").index(index);
        checks::required(errors, item, "key", &at, "");
        file_path(errors, item, &at);
        modes(errors, item, "mode", &at);
    }
}

fn downward(errors: &mut ErrorList, source: &Value, path: &Path) {
    // Upstream names the volume here, not the item.
    for item in tree::list(source, "items") {
        file_path(errors, item, path);
        env::downward_file(errors, item, path);
        modes(errors, item, "mode", path);
    }
}

fn projected(errors: &mut ErrorList, source: &Value, volume: &Path) {
    for (index, source) in tree::list(source, "sources").iter().enumerate() {
        let at = volume.child("sources").index(index);
        let mut given = 0;
        for (kind, projection) in source
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, projection)| !projection.is_null())
        {
            let at = at.child(kind);
            given += 1;
            if given > 1 {
                errors.push(field::forbidden(
                    &at,
                    "may not specify more than 1 volume type",
                ));
                continue;
            }
            match kind.as_str() {
                "secret" | "configMap" => {
                    checks::required(errors, projection, "name", &at, "");
                    key_paths(errors, projection, &at);
                }
                "downwardAPI" => downward(errors, projection, &at),
                // The path is named as one of the volume.
                "serviceAccountToken" => token(errors, projection, &at, volume),
                _ => {}
            }
        }
        if given == 0 {
            errors.push(field::required(&at, "must specify a volume type"));
        }
    }
}

fn token(errors: &mut ErrorList, projection: &Value, path: &Path, volume: &Path) {
    let seconds = tree::int(projection, "expirationSeconds").unwrap_or(0);
    if seconds < 600 {
        let detail = "may not specify a duration less than 10 minutes";
        errors.push(field::invalid(
            &path.child("expirationSeconds"),
            seconds,
            detail,
        ));
    }
    if seconds > 1 << 32 {
        let detail = "may not specify a duration larger than 2^32 seconds";
        errors.push(field::invalid(
            &path.child("expirationSeconds"),
            seconds,
            detail,
        ));
    }
    file_path(errors, projection, volume);
}

fn file_path(errors: &mut ErrorList, holder: &Value, path: &Path) {
    if checks::required(errors, holder, "path", path, "") {
        let file = tree::text(holder, "path");
        relative_path(errors, file, &path.child("path"));
        // A directory entry that begins so is the updater's own.
        if file.starts_with("..") && !file.split('/').any(|part| part == "..") {
            errors.push(field::invalid(
                &path.child("path"),
                file,
                "must not start with '..'",
            ));
        }
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
