//! `kubectl get resourceclaims`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "State",
        "A summary of the current state (allocated, pending, reserved, etc.).",
    ),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        print::name(object),
        state(object).into(),
        print::age(object, now),
    ]
}

fn state(claim: &Value) -> String {
    let mut states = Vec::new();
    if tree::has(claim, "metadata.deletionTimestamp") {
        states.push("deleted");
    }
    if tree::get(claim, "status.allocation").is_none() {
        if states.is_empty() {
            states.push("pending");
        }
    } else {
        states.push("allocated");
        if tree::has(claim, "status.reservedFor") {
            states.push("reserved");
        }
    }
    states.join(",")
}
