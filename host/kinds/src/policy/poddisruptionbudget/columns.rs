//! `kubectl get poddisruptionbudgets`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "Min Available",
        "The minimum number of pods that must be available.",
    ),
    Column::text(
        "Max Unavailable",
        "The maximum number of pods that may be unavailable.",
    ),
    Column::integer(
        "Allowed Disruptions",
        "Calculated number of pods that may be disrupted at this time.",
    ),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let bound =
        |field| tree::get(spec, field).map_or_else(|| "N/A".to_owned(), print::int_or_string);
    vec![
        print::name(object),
        bound("minAvailable").into(),
        bound("maxUnavailable").into(),
        print::integer(object, "status.disruptionsAllowed"),
        print::age(object, now),
    ]
}
