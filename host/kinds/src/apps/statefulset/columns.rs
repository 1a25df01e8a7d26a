//! `kubectl get statefulsets`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("Ready", "Number of the pod with ready state"),
    Column::AGE,
    Column::CONTAINERS,
    Column::IMAGES,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let ready = print::ratio(object, "status.readyReplicas", "spec.replicas");
    let (containers, images) = print::containers(tree::get(object, "spec.template.spec"));
    vec![
        print::name(object),
        ready.into(),
        print::age(object, now),
        containers,
        images,
    ]
}
