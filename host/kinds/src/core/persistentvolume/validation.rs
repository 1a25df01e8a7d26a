//! Validation of persistent volumes.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};
use crate::core::persistentvolumeclaim::validation as claim;
use crate::core::pod::diff;
use crate::core::podspec::validation::node_selector;
use crate::core::podspec::validation::resources::{basic_amount, positive};
use crate::core::podspec::validation::sources::{self, Owner};
use crate::equality::{same, semantic_eq};

/// Fields of the spec that say where the data is; exactly one is given.
const SOURCES: [&str; 22] = [
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
];
/// Sources whose options for mounting may stand in an annotation.
const WITH_MOUNT_OPTIONS: [&str; 13] = [
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "nfs",
    "rbd",
    "quobyte",
    "iscsi",
    "cinder",
    "cephfs",
    "azureFile",
    "vsphereVolume",
    "azureDisk",
    "photonPersistentDisk",
];
const MOUNT_OPTIONS: &str = "volume.beta.kubernetes.io/mount-options";
const ATTRIBUTES: &str = "volumeAttributesClassName";

pub(super) fn validate(volume: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(volume, "spec").unwrap_or(&Value::Null);
    access(&mut errors, spec, &path);
    capacity(&mut errors, spec, &path.child("capacity"));
    let policies = ["Delete", "Recycle", "Retain"];
    let policy = "persistentVolumeReclaimPolicy";
    checks::one_of(&mut errors, spec, policy, &path, &policies);
    affinity(&mut errors, spec, &path.child("nodeAffinity"));
    let name = tree::text(volume, "metadata.name");
    source(&mut errors, spec, &path, Owner::PersistentVolume(name));
    recycled_root(&mut errors, spec, &path.child(policy));
    classes(&mut errors, spec, &path);
    mount_options(&mut errors, volume, spec);
    errors
}

/// Validates the spec of a volume that another object holds: only a CSI driver serves it.
pub(crate) fn inline(errors: &mut ErrorList, spec: &Value, path: &Path) {
    const POLICY: &str = "persistentVolumeReclaimPolicy";
    let forbid = |errors: &mut ErrorList, name: &str, detail: &str| {
        let detail = format!("{detail} in the context of inline volumes");
        errors.push(field::forbidden(&path.child(name), detail));
    };
    let absent = |errors: &mut ErrorList, name: &str| {
        // An empty struct is there, an empty map or text is not.
        let is_struct = matches!(name, "claimRef" | "nodeAffinity");
        if tree::has(spec, name) || is_struct && tree::get(spec, name).is_some() {
            forbid(errors, name, "may not be specified");
        }
    };
    absent(errors, "claimRef");
    absent(errors, "capacity");
    if tree::get(spec, "csi").is_none() {
        let detail = "has to be specified in the context of inline volumes";
        errors.push(field::required(&path.child("csi"), detail));
    }
    access(errors, spec, path);
    if !matches!(tree::text(spec, POLICY), "" | "Retain") {
        forbid(errors, POLICY, "may only be Retain");
    }
    absent(errors, "nodeAffinity");
    // No affinity counts here, so a local source lacks it in any case.
    let mut plain = spec.clone();
    tree::remove(&mut plain, "nodeAffinity");
    source(errors, &plain, path, Owner::PersistentVolume(""));
    recycled_root(errors, spec, &path.child(POLICY));
    absent(errors, "storageClassName");
    let mode = tree::get(spec, "volumeMode").and_then(Value::as_str);
    if mode.is_some_and(|mode| mode != "Filesystem") {
        let detail = "may not specify volumeMode other than Filesystem";
        forbid(errors, "volumeMode", detail);
    }
}

fn access(errors: &mut ErrorList, spec: &Value, path: &Path) {
    if !tree::has(spec, "accessModes") {
        errors.push(field::required(&path.child("accessModes"), ""));
    }
    claim::access_modes(errors, spec, path);
}

fn classes(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let class = tree::text(spec, "storageClassName");
    if !class.is_empty() {
        let outcome = names::is_dns1123_subdomain(class);
        errors.check(&path.child("storageClassName"), class, outcome);
    }
    checks::supported(errors, spec, "volumeMode", path, &claim::VOLUME_MODES);
    let Some(class) = tree::get(spec, ATTRIBUTES).and_then(Value::as_str) else {
        return;
    };
    if checks::required(
        errors,
        spec,
        ATTRIBUTES,
        path,
        "an empty string is disallowed",
    ) {
        let outcome = names::is_dns1123_subdomain(class);
        errors.check(&path.child(ATTRIBUTES), class, outcome);
    }
    if tree::get(spec, "csi").is_none() {
        let detail = "has to be specified when using volumeAttributesClassName";
        errors.push(field::required(&path.child("csi"), detail));
    }
}

fn affinity(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let Some(affinity) = tree::get(spec, "nodeAffinity") else {
        return;
    };
    let at = path.child("required");
    match tree::get(affinity, "required") {
        Some(selector) => node_selector(errors, selector, &at),
        None => errors.push(field::required(
            &at,
            "must specify required node constraints",
        )),
    }
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
        let at = path.key(name);
        basic_amount(errors, amount, &at);
        positive(errors, amount, &at);
    }
}

fn source(errors: &mut ErrorList, spec: &Value, path: &Path, owner: Owner<'_>) {
    let given = SOURCES
        .iter()
        .filter_map(|kind| Some((*kind, tree::get(spec, kind)?)));
    let mut count = 0;
    for (kind, source) in given {
        count += 1;
        // Upstream forgets to refuse a flex volume beside another source.
        if count == 1 || kind == "flexVolume" {
            sources::validate(errors, kind, source, path, owner);
            if kind == "local" && tree::get(spec, "nodeAffinity").is_none() {
                let detail = "Local volume requires node affinity";
                errors.push(field::required(&path.child("nodeAffinity"), detail));
            }
        } else {
            let at = path.child(if kind == "cephfs" { "cephFS" } else { kind });
            let detail = "may not specify more than 1 volume type";
            errors.push(field::forbidden(&at, detail));
        }
    }
    if count == 0 {
        errors.push(field::required(path, "must specify a volume type"));
    }
}

/// The root of a machine is not emptied.
fn recycled_root(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let directory = tree::text(spec, "hostPath.path");
    let is_recycled = tree::text(spec, "persistentVolumeReclaimPolicy") == "Recycle";
    if is_recycled && is_root(directory) {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        errors.push(field::forbidden(path, detail));
    }
}

/// Whether a path leads to the root (Go's `path.Clean`).
fn is_root(directory: &str) -> bool {
    let mut depth = 0_usize;
    for part in directory.split('/') {
        depth = match part {
            "" | "." => depth,
            ".." => depth.saturating_sub(1),
            _ => depth.saturating_add(1),
        };
    }
    directory.starts_with('/') && depth == 0
}

fn mount_options(errors: &mut ErrorList, volume: &Value, spec: &Value) {
    let may_have = WITH_MOUNT_OPTIONS
        .iter()
        .any(|kind| tree::get(spec, kind).is_some());
    if !may_have && tree::map(volume, "metadata.annotations").contains_key(MOUNT_OPTIONS) {
        let at = Path::new("metadata.annotations").child(MOUNT_OPTIONS);
        let detail = "may not specify mount options for this volume type";
        errors.push(field::forbidden(&at, detail));
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    if let Some(changes) = source_changes(new, old) {
        let detail = format!("spec.persistentvolumesource is immutable after creation\n{changes}");
        errors.push(field::forbidden(
            &Path::new("spec.persistentvolumesource"),
            detail,
        ));
    }
    let mode = tree::get(new, "spec.volumeMode");
    if mode != tree::get(old, "spec.volumeMode") {
        errors.push(field::immutable(&Path::new("volumeMode"), mode));
    }
    let [after, before] = [new, old].map(|volume| tree::get(volume, "spec.nodeAffinity"));
    if before.is_some() && !same_affinity(after, before) {
        let detail = "field is immutable, except for updating from beta label to GA";
        errors.push(field::invalid(&Path::new("nodeAffinity"), after, detail));
    }
    let at = Path::new("spec").child(ATTRIBUTES);
    let [after, before] = [new, old].map(|volume| tree::get(volume, at.as_str()));
    if before.is_some() && after.is_none() {
        let detail = "update from non-nil value to nil is forbidden";
        errors.push(field::forbidden(&at, detail));
    }
    errors
}

/// How the sources differ, in lines; a secret that is needed to expand the volume may be added.
fn source_changes(new: &Value, old: &Value) -> Option<String> {
    let added = "spec.csi.controllerExpandSecretRef";
    let mut new = new.clone();
    if tree::get(old, "spec.csi").is_some() && tree::get(old, added).is_none() {
        tree::remove(&mut new, added);
    }
    let (after, before) = (sources_of(&new), sources_of(old));
    // A source without fields is a source all the same.
    let differs = SOURCES
        .iter()
        .any(|kind| !same(tree::get(&after, kind), tree::get(&before, kind)));
    differs.then(|| diff::lines(Some(&before), Some(&after)))
}

/// The sources of a volume alone.
fn sources_of(volume: &Value) -> Value {
    let spec = tree::map(volume, "spec").iter();
    spec.filter(|(kind, _)| SOURCES.contains(&kind.as_str()))
        .map(|(kind, source)| (kind.clone(), source.clone()))
        .collect()
}

/// Labels of nodes that were renamed, and their names now.
const RENAMED: [(&str, &str); 5] = [
    (
        "failure-domain.beta.kubernetes.io/zone",
        "topology.kubernetes.io/zone",
    ),
    (
        "failure-domain.beta.kubernetes.io/region",
        "topology.kubernetes.io/region",
    ),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    (
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
    ),
];

/// Whether two affinities mean the same once labels have the names that they have now.
fn same_affinity(new: Option<&Value>, old: Option<&Value>) -> bool {
    let mut renamed = old.cloned().unwrap_or_default();
    let terms = "required.nodeSelectorTerms";
    let wanted = new.map(|it| tree::list(it, terms)).unwrap_or_default();
    for (term, wanted) in tree::each_mut(&mut renamed, terms).zip(wanted) {
        let expressions = tree::list(wanted, "matchExpressions");
        for (expression, wanted) in tree::each_mut(term, "matchExpressions").zip(expressions) {
            let pair = (tree::text(expression, "key"), tree::text(wanted, "key"));
            if RENAMED.contains(&pair) {
                tree::copy(expression, wanted, "key");
            }
        }
    }
    new.is_some() && semantic_eq(Some(&renamed), new)
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
            MOUNT_OPTIONS,
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
