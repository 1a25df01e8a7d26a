//! `kubectl get csistoragecapacities`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "StorageClassName",
        "storageClassName represents the name of the StorageClass that the reported capacity applies to. It must meet the same requirements as the name of a StorageClass object (non-empty, DNS subdomain).",
    ),
    Column::text(
        "Capacity",
        "capacity is the value reported by the CSI driver in its GetCapacityResponse for a GetCapacityRequest with topology and parameters that match the previous fields.",
    ),
];

pub(super) fn cells(object: &Value, _now: Timestamp) -> Vec<Value> {
    vec![
        print::name(object),
        tree::text(object, "storageClassName").into(),
        print::or_unset(object, "capacity"),
    ]
}
