//! `kubectl get resourceslices`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "Node",
        "NodeName identifies the node which provides the resources in this pool. A field selector can be used to list only ResourceSlice objects belonging to a certain node.",
    ),
    Column::text(
        "Driver",
        "Driver identifies the DRA driver providing the capacity information. A field selector can be used to list only ResourceSlice objects with a certain driver name.",
    ),
    Column::text(
        "Pool",
        "Name is used to identify the pool. For node-local devices, this is often the node name, but this is not required.",
    ),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        print::name(object),
        tree::text(object, "spec.nodeName").into(),
        tree::text(object, "spec.driver").into(),
        tree::text(object, "spec.pool.name").into(),
        print::age(object, now),
    ]
}
