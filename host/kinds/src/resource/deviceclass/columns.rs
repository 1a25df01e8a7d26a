//! `kubectl get deviceclasses`.

use jiff::Timestamp;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[Column::NAME, Column::AGE];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![print::name(object), print::age(object, now)]
}
