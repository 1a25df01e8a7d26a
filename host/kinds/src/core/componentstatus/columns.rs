//! `kubectl get componentstatus`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("Status", "Status of the component conditions"),
    Column::text("Message", "Message of the component conditions"),
    Column::text("Error", "Error of the component conditions"),
];

pub(super) fn cells(object: &Value, _now: Timestamp) -> Vec<Value> {
    let healthy = tree::list(object, "conditions")
        .iter()
        .find(|condition| tree::text(condition, "type") == "Healthy");
    let field = |name| healthy.map_or("", |condition| tree::text(condition, name));
    let status = match healthy.map(|condition| tree::text(condition, "status")) {
        None => "Unknown",
        Some("True") => "Healthy",
        Some(_) => "Unhealthy",
    };
    vec![
        print::name(object),
        status.into(),
        field("message").into(),
        field("error").into(),
    ]
}
