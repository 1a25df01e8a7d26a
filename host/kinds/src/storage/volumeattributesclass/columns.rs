//! `kubectl get volumeattributesclasses`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "DriverName",
        "Name of the CSI driver This field is immutable.",
    ),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        print::name(object),
        tree::text(object, "driverName").into(),
        print::age(object, now),
    ]
}
