//! Validation of persistent volumes.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};
use crate::core::persistentvolumeclaim::validation as claim;
use crate::core::podspec::validation::{node_selector, volumes};
use crate::equality::semantic_eq;
use crate::quantity;

/// Fields of the spec that say where the data is; exactly one is given.
const SOURCES: [&str; 23] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
    "image",
];

pub(super) fn validate(volume: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(volume, "spec").unwrap_or(&Value::Null);
    if !tree::has(spec, "accessModes") {
        errors.push(field::required(&path.child("accessModes"), ""));
    }
    claim::access_modes(&mut errors, spec, &path);
    capacity(&mut errors, spec, &path.child("capacity"));
    checks::one_of(
        &mut errors,
        spec,
        "persistentVolumeReclaimPolicy",
        &path,
        &["Delete", "Recycle", "Retain"],
    );
    if let Some(selector) = tree::get(spec, "nodeAffinity.required") {
        node_selector(&mut errors, selector, &path.child("nodeAffinity.required"));
    }
    source(&mut errors, spec, &path);
    let class = tree::text(spec, "storageClassName");
    if !class.is_empty() {
        errors.check(
            &path.child("storageClassName"),
            class,
            names::is_dns1123_subdomain(class),
        );
    }
    checks::one_of(
        &mut errors,
        spec,
        "volumeMode",
        &path,
        &["Block", "Filesystem"],
    );
    errors
}

fn capacity(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let capacity = tree::map(spec, "capacity");
    if capacity.is_empty() {
        errors.push(field::required(path, ""));
    }
    if !capacity.contains_key("storage") || capacity.len() > 1 {
        errors.push(field::not_supported(
            path,
            tree::get(spec, "capacity"),
            &["storage"],
        ));
    }
    for (name, amount) in capacity {
        if quantity::read(amount).is_none_or(|quantity| quantity.milli() <= 0) {
            errors.push(field::invalid(
                &path.key(name),
                amount,
                "must be greater than zero",
            ));
        }
    }
}

fn source(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let mut given = 0;
    for kind in SOURCES {
        let Some(source) = tree::get(spec, kind) else {
            continue;
        };
        let at = path.child(kind);
        given += 1;
        if given > 1 {
            errors.push(field::forbidden(
                &at,
                "may not specify more than 1 volume type",
            ));
            continue;
        }
        match kind {
            "hostPath" => volumes::host_path(errors, source, &at),
            "nfs" => volumes::nfs(errors, source, &at),
            "csi" => {
                volumes::csi(errors, source, &at);
                checks::required(errors, source, "volumeHandle", &at, "");
            }
            "local" => {
                checks::required(errors, source, "path", &at, "");
                if tree::get(spec, "nodeAffinity").is_none() {
                    let detail = "Local volume requires node affinity";
                    errors.push(field::required(&path.child("nodeAffinity"), detail));
                }
            }
            _ => {}
        }
    }
    if given == 0 {
        errors.push(field::required(path, "must specify a volume type"));
    }
    if tree::text(spec, "hostPath.path") == "/"
        && tree::text(spec, "persistentVolumeReclaimPolicy") == "Recycle"
    {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        errors.push(field::forbidden(
            &path.child("persistentVolumeReclaimPolicy"),
            detail,
        ));
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    let changed = SOURCES.iter().any(|kind| {
        let at = format!("spec.{kind}");
        !semantic_eq(tree::get(new, &at), tree::get(old, &at))
    });
    if changed {
        let detail = "spec.persistentvolumesource is immutable after creation";
        errors.push(field::forbidden(
            &Path::new("spec.persistentvolumesource"),
            detail,
        ));
    }
    let mode = Path::new("volumeMode");
    let (after, before) = (
        tree::get(new, "spec.volumeMode"),
        tree::get(old, "spec.volumeMode"),
    );
    if !semantic_eq(after, before) {
        errors.push(field::immutable(&mode, after));
    }
    errors
}

/// Volume plugins that nothing serves any more, with the name that the warning gives them.
const RETIRED: [(&str, &str, &str); 6] = [
    (
        "cephfs",
        "cephfs",
        "deprecated in v1.28, non-functional in v1.31+",
    ),
    (
        "photonPersistentDisk",
        "photonPersistentDisk",
        "deprecated in v1.11, non-functional in v1.16+",
    ),
    (
        "scaleIO",
        "scaleIO",
        "deprecated in v1.16, non-functional in v1.22+",
    ),
    (
        "storageos",
        "storageOS",
        "deprecated in v1.22, non-functional in v1.25+",
    ),
    (
        "glusterfs",
        "glusterfs",
        "deprecated in v1.25, non-functional in v1.26+",
    ),
    (
        "rbd",
        "rbd",
        "deprecated in v1.28, non-functional in v1.31+",
    ),
];

pub(super) fn warnings(volume: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for (key, text) in [
        (
            "volume.beta.kubernetes.io/storage-class",
            "deprecated since v1.8; use \"storageClassName\" attribute instead",
        ),
        (
            "volume.beta.kubernetes.io/mount-options",
            "deprecated since v1.31; use \"mountOptions\" attribute instead",
        ),
    ] {
        if tree::map(volume, "metadata.annotations").contains_key(key) {
            warnings.push(format!("metadata.annotations[{key}]: {text}"));
        }
    }
    if tree::text(volume, "spec.persistentVolumeReclaimPolicy") == "Recycle" {
        warnings.push(
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."
                .to_owned(),
        );
    }
    for (kind, shown, text) in RETIRED {
        if tree::get(volume, &format!("spec.{kind}")).is_some() {
            warnings.push(format!("spec.{shown}: {text}"));
        }
    }
    warnings
}
