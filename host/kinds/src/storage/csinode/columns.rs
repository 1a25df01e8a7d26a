//! `kubectl get csinodes`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::integer(
        "Drivers",
        "Drivers indicates the number of CSI drivers registered on the node",
    ),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        print::name(object),
        tree::list(object, "spec.drivers").len().into(),
        print::age(object, now),
    ]
}
