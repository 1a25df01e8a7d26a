//! `kubectl get resourcequotas`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "Request",
        "Request represents a minimum amount of cpu/memory that a container may consume.",
    ),
    Column::text(
        "Limit",
        "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
    ),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let (limits, requests): (Vec<_>, Vec<_>) = tree::map(object, "status.hard")
        .iter()
        .partition(|(name, _)| name.starts_with("limits."));
    let requests = usage(object, &requests);
    let limits = usage(object, &limits);
    vec![
        print::name(object),
        requests.into(),
        limits.into(),
        print::age(object, now),
    ]
}

fn usage(object: &Value, resources: &[(&String, &Value)]) -> String {
    let used = tree::map(object, "status.used");
    let line = |(name, hard): &(&String, &Value)| {
        let used = used.get(*name).and_then(Value::as_str).unwrap_or("0");
        format!("{name}: {used}/{}", hard.as_str().unwrap_or("0"))
    };
    resources.iter().map(line).collect::<Vec<_>>().join(", ")
}
