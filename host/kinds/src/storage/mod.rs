//! Storage classes and CSI objects.

mod csidriver;
mod csinode;
mod csistoragecapacity;
mod storageclass;
mod volumeattachment;
mod volumeattributesclass;

use crate::rules::KindRules;

/// Rules of a kind of the group `storage.k8s.io`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "CSIDriver" => &csidriver::CSIDriver,
        "CSINode" => &csinode::CSINode,
        "CSIStorageCapacity" => &csistoragecapacity::CSIStorageCapacity,
        "StorageClass" => &storageclass::StorageClass,
        "VolumeAttachment" => &volumeattachment::VolumeAttachment,
        "VolumeAttributesClass" => &volumeattributesclass::VolumeAttributesClass,
        _ => return None,
    })
}
