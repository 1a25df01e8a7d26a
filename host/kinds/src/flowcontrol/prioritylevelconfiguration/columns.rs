//! `kubectl get prioritylevelconfigurations`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "Type",
        "`type` indicates whether this priority level is subject to limitation on request execution.",
    ),
    Column::text(
        "NominalConcurrencyShares",
        "`nominalConcurrencyShares` (NCS) contributes to the computation of the NominalConcurrencyLimit (NominalCL) of this level.",
    ),
    Column::text(
        "Queues",
        "`queues` is the number of queues for this priority level.",
    ),
    Column::text(
        "HandSize",
        "`handSize` is a small positive number that configures the shuffle sharding of requests into queues.",
    ),
    Column::text(
        "QueueLengthLimit",
        "`queueLengthLimit` is the maximum number of requests allowed to be waiting in a given queue of this priority level at a time; excess requests are rejected.",
    ),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let number = |path| {
        tree::get(object, path)
            .cloned()
            .unwrap_or_else(|| print::NONE.into())
    };
    vec![
        print::name(object),
        tree::text(object, "spec.type").into(),
        number("spec.limited.nominalConcurrencyShares"),
        number("spec.limited.limitResponse.queuing.queues"),
        number("spec.limited.limitResponse.queuing.handSize"),
        number("spec.limited.limitResponse.queuing.queueLengthLimit"),
        print::age(object, now),
    ]
}
