//! `kubectl get ingressclasses`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "Controller",
        "Controller that is responsible for handling this class",
    ),
    Column::text(
        "Parameters",
        "A reference to a resource with additional parameters",
    ),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        print::name(object),
        tree::text(object, "spec.controller").into(),
        parameters(object).into(),
        print::age(object, now),
    ]
}

fn parameters(class: &Value) -> String {
    let Some(parameters) = tree::get(class, "spec.parameters") else {
        return print::NONE.to_owned();
    };
    let (kind, name) = (
        tree::text(parameters, "kind"),
        tree::text(parameters, "name"),
    );
    match tree::get(parameters, "apiGroup").and_then(Value::as_str) {
        Some(group) => format!("{kind}.{group}/{name}"),
        None => format!("{kind}/{name}"),
    }
}
