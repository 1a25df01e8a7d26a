//! `kubectl get apiservices`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "Service",
        "The reference to the service that hosts this API endpoint.",
    ),
    Column::text("Available", "Whether this service is available."),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let service = tree::get(object, "spec.service").map_or_else(
        || "Local".to_owned(),
        |service| {
            format!(
                "{}/{}",
                tree::text(service, "namespace"),
                tree::text(service, "name")
            )
        },
    );
    vec![
        print::name(object),
        service.into(),
        available(object).into(),
        print::age(object, now),
    ]
}

fn available(service: &Value) -> String {
    let found = tree::list(service, "status.conditions")
        .iter()
        .find(|condition| tree::text(condition, "type") == "Available");
    match found {
        None => "Unknown".to_owned(),
        Some(condition) if tree::text(condition, "status") == "True" => "True".to_owned(),
        Some(condition) => format!(
            "{} ({})",
            tree::text(condition, "status"),
            tree::text(condition, "reason")
        ),
    }
}
