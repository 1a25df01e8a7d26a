//! `kubectl get mutatingadmissionpolicies`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::integer(
        "Mutations",
        "Mutation indicates the number of mutations rules defined in this configuration",
    ),
    Column::text(
        "ParamKind",
        "ParamKind specifies the kind of resources used to parameterize this policy",
    ),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let kind = tree::get(object, "spec.paramKind").map_or_else(
        || print::UNSET.to_owned(),
        |kind| {
            format!(
                "{}/{}",
                tree::text(kind, "apiVersion"),
                tree::text(kind, "kind")
            )
        },
    );
    vec![
        print::name(object),
        tree::list(object, "spec.mutations").len().into(),
        kind.into(),
        print::age(object, now),
    ]
}
