//! `kubectl get csistoragecapacities`: upstream's storage of this kind names no table, so the default one is shown.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[Column::NAME, Column::CREATED_AT];

pub(super) fn cells(object: &Value, _now: Timestamp) -> Vec<Value> {
    vec![
        print::name(object),
        tree::text(object, "metadata.creationTimestamp").into(),
    ]
}
