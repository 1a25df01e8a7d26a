//! `kubectl get namespaces`.

use jiff::Timestamp;
use serde_json::Value;

use crate::column::Column;
use crate::{print, tree};

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("Status", "The status of the namespace"),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        print::name(object),
        tree::text(object, "status.phase").into(),
        print::age(object, now),
    ]
}
