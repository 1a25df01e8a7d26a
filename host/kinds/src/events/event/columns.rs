//! `kubectl get events.events.k8s.io`: the table of core events, from fields of other names.

use jiff::Timestamp;
use serde_json::Value;

use crate::column::Column;
use crate::core::event::columns::{self, Names};

pub(super) const COLUMNS: &[Column] = columns::COLUMNS;

const NAMES: Names = Names {
    object: "regarding",
    message: "note",
    first: "deprecatedFirstTimestamp",
    last: "deprecatedLastTimestamp",
    count: "deprecatedCount",
    source: "deprecatedSource",
    reporter: "reportingController",
};

pub(super) fn cells(event: &Value, now: Timestamp) -> Vec<Value> {
    columns::cells_named(event, now, &NAMES)
}
