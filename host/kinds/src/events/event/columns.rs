//! `kubectl get events.events.k8s.io`: the table of core events, from fields of other names.

use jiff::Timestamp;
use serde_json::Value;

use super::validation::NAMES;
use crate::column::Column;
use crate::core::event::columns;

pub(super) const COLUMNS: &[Column] = columns::COLUMNS;

pub(super) fn cells(event: &Value, now: Timestamp) -> Vec<Value> {
    columns::cells_named(event, now, &NAMES)
}
