//! What every kind does unless it says otherwise.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

/// `NAME` and `AGE`.
pub(crate) const COLUMNS: &[Column] = &[Column::NAME, Column::AGE];

/// Cells for [`COLUMNS`].
pub(crate) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![print::name(object), print::age(object, now)]
}

/// Metadata of kinds whose status update changes none of it (`metav1.ResetObjectMetaForStatus`).
pub(crate) const RESET_METADATA: &[&str] = &[
    "annotations",
    "deletionTimestamp",
    "finalizers",
    "labels",
    "ownerReferences",
];

/// Restores every field of `old` but `status` and metadata, and of metadata those named in `keeps`.
pub(crate) fn keep_all_but_status(new: &mut Value, old: &Value, keeps: &[&str]) {
    let (Some(fields), Some(stored)) = (new.as_object_mut(), old.as_object()) else {
        return;
    };
    let open = |key: &str| matches!(key, "status" | "metadata" | "apiVersion" | "kind");
    fields.retain(|key, _| open(key));
    for (key, value) in stored.iter().filter(|(key, _)| !open(key)) {
        fields.insert(key.clone(), value.clone());
    }
    for key in keeps {
        tree::copy(new, old, &format!("metadata.{key}"));
    }
}

/// Restores everything but `status`, metadata included: a status update of a custom resource
/// (`apiextensions-apiserver/pkg/registry/customresource/status_strategy.go`).
pub(crate) fn keep_all_of_old_but_status(new: &mut Value, old: &Value) {
    let status = new.get("status").cloned();
    new.clone_from(old);
    tree::remove(new, "status");
    if let Some(status) = status {
        tree::set(new, "status", status);
    }
}
