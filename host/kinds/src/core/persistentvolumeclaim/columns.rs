//! `kubectl get persistentvolumeclaims`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("Status", "phase represents the current phase of PersistentVolumeClaim."),
    Column::text("Volume", "volumeName is the binding reference to the PersistentVolume backing this claim."),
    Column::text("Capacity", "capacity represents the actual resources of the underlying volume."),
    Column::text("Access Modes", "accessModes contains the actual access modes the volume backing the PVC has. More info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#access-modes-1"),
    Column::text("StorageClass", "StorageClass of the pvc"),
    Column::text("VolumeAttributesClass", "VolumeAttributesClass of the pvc"),
    Column::AGE,
    Column::text("VolumeMode", "volumeMode defines what type of volume is required by the claim. Value of Filesystem is implied when not included in claim spec.").wide(),
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let (capacity, modes) = if tree::has(object, "spec.volumeName") {
        (
            print::quantity(object, "status.capacity.storage"),
            print::access_modes(object, "status.accessModes"),
        )
    } else {
        ("".into(), "".into())
    };
    vec![
        print::name(object),
        print::phase(object),
        tree::text(object, "spec.volumeName").into(),
        capacity,
        modes,
        print::storage_class(object),
        print::or_unset(object, "spec.volumeAttributesClassName"),
        print::age(object, now),
        print::or_unset(object, "spec.volumeMode"),
    ]
}
