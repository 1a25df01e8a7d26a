//! `kubectl get storageclasses`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "Provisioner",
        "provisioner indicates the type of the provisioner.",
    ),
    Column::text(
        "ReclaimPolicy",
        "reclaimPolicy controls the reclaimPolicy for dynamically provisioned PersistentVolumes of this storage class. Defaults to Delete.",
    ),
    Column::text(
        "VolumeBindingMode",
        "volumeBindingMode indicates how PersistentVolumeClaims should be provisioned and bound.  When unset, VolumeBindingImmediate is used. This field is only honored by servers that enable the VolumeScheduling feature.",
    ),
    Column::text(
        "AllowVolumeExpansion",
        "allowVolumeExpansion shows whether the storage class allow volume expand.",
    ),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let or = |field: &str, default: &str| match tree::text(object, field) {
        "" => default.to_owned(),
        text => text.to_owned(),
    };
    vec![
        name(object).into(),
        tree::text(object, "provisioner").into(),
        or("reclaimPolicy", "Delete").into(),
        or("volumeBindingMode", "Immediate").into(),
        tree::flag(object, "allowVolumeExpansion").into(),
        print::age(object, now),
    ]
}

/// The class that claims without one get is marked in its name.
fn name(class: &Value) -> String {
    let annotations = tree::map(class, "metadata.annotations");
    let is_default = [
        "storageclass.kubernetes.io/is-default-class",
        "storageclass.beta.kubernetes.io/is-default-class",
    ]
    .iter()
    .any(|key| annotations.get(*key).is_some_and(|value| value == "true"));
    let name = tree::text(class, "metadata.name");
    if is_default {
        format!("{name} (default)")
    } else {
        name.to_owned()
    }
}
