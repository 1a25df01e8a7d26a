//! Where the data of a volume is: the sources that pods and persistent volumes share, those of plugins
//! that nothing serves any more among them.

mod disks;
mod iscsi;
mod others;
mod references;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::volumes::{host_path, no_backsteps, relative_path};
use crate::checks::{self, Check};

pub(super) use iscsi::session_of_pod;

/// What has a source, which a few rules depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owner<'a> {
    /// A volume of a pod.
    Pod,
    /// A persistent volume of this name. It names secrets with their namespaces.
    PersistentVolume(&'a str),
}

impl Owner<'_> {
    fn is_pod(self) -> bool {
        matches!(self, Self::Pod)
    }
}

/// Fields that a source cannot be without.
const REQUIRED: [(&str, &[&str]); 15] = [
    ("awsElasticBlockStore", &["volumeID"]),
    ("azureFile", &["secretName", "shareName"]),
    ("cephfs", &["monitors"]),
    ("cinder", &["volumeID"]),
    ("flexVolume", &["driver"]),
    ("gcePersistentDisk", &["pdName"]),
    ("gitRepo", &["repository"]),
    ("glusterfs", &["endpoints", "path"]),
    ("nfs", &["server", "path"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("rbd", &["monitors", "image"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("vsphereVolume", &["volumePath"]),
];

/// Validates the source `kind` of the volume or spec at `path`.
pub(crate) fn validate(
    errors: &mut ErrorList,
    kind: &str,
    source: &Value,
    path: &Path,
    owner: Owner<'_>,
) {
    // Upstream calls this one by another name in the errors about its fields.
    let path = path.child(match kind {
        "gcePersistentDisk" => "persistentDisk",
        kind => kind,
    });
    let required = REQUIRED.iter().find(|(name, _)| *name == kind);
    for name in required.into_iter().flat_map(|(_, names)| *names) {
        checks::required(errors, source, name, &path, "");
    }
    details(errors, kind, source, &path, owner);
}

/// What a source asks of its fields beyond their presence; `path` is its own.
fn details(errors: &mut ErrorList, kind: &str, source: &Value, path: &Path, owner: Owner<'_>) {
    match kind {
        "awsElasticBlockStore" | "gcePersistentDisk" => disks::partition(errors, source, path),
        "azureDisk" => disks::azure(errors, source, path),
        "azureFile" => azure_namespace(errors, source, path, owner),
        "cinder" => references::secret(errors, source, "secretRef", path, owner),
        "csi" => others::csi(errors, source, path, owner),
        "fc" => disks::fibre_channel(errors, source, path),
        "flexVolume" => others::flex_options(errors, source, &path.child("options")),
        "flocker" => others::flocker(errors, source, path),
        "gitRepo" => relative_path(
            errors,
            tree::text(source, "directory"),
            &path.child("directory"),
        ),
        "glusterfs" if !owner.is_pod() => gluster_namespace(errors, source, path),
        "hostPath" => host_path(errors, source, path),
        "iscsi" => iscsi::validate(errors, source, path, owner),
        "local" => local_path(errors, source, path),
        "nfs" => absolute(errors, source, &path.child("path")),
        "quobyte" => others::quobyte(errors, source, path),
        "storageos" => others::storageos(errors, source, path, owner),
        _ => {}
    }
}

/// A namespace that a volume gives for its secret has a name.
fn azure_namespace(errors: &mut ErrorList, source: &Value, path: &Path, owner: Owner<'_>) {
    let name = "secretNamespace";
    if !owner.is_pod() && tree::get(source, name).is_some() {
        checks::required(errors, source, name, path, "");
    }
}

fn local_path(errors: &mut ErrorList, source: &Value, path: &Path) {
    if checks::required(errors, source, "path", path, "") {
        no_backsteps(errors, tree::text(source, "path"), &path.child("path"));
    }
}

fn absolute(errors: &mut ErrorList, source: &Value, path: &Path) {
    let text = tree::text(source, "path");
    if !text.starts_with('/') {
        errors.push(field::invalid(path, text, "must be an absolute path"));
    }
}

fn gluster_namespace(errors: &mut ErrorList, source: &Value, path: &Path) {
    let at = path.child("endpointsNamespace");
    match tree::get(source, "endpointsNamespace").and_then(Value::as_str) {
        None => {}
        Some("") => {
            let detail = "if the endpointnamespace is set, it must be a valid namespace name";
            errors.push(field::invalid(&at, "", detail));
        }
        Some(name) => errors.check(&at, name, names::is_dns1123_label(name)),
    }
}
