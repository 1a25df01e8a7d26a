//! `kubectl get deployments`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("Ready", "Number of the pod with ready state"),
    Column::text("Up-to-date", "Total number of non-terminated pods targeted by this deployment that have the desired template spec."),
    Column::text("Available", "Total number of available pods (ready for at least minReadySeconds) targeted by this deployment."),
    Column::AGE,
    Column::CONTAINERS,
    Column::IMAGES,
    Column::text("Selector", "Label selector for pods. Existing ReplicaSets whose pods are selected by this will be the ones affected by this deployment.").wide(),
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let ready = print::ratio(object, "status.readyReplicas", "spec.replicas");
    let (containers, images) = print::containers(tree::get(object, "spec.template.spec"));
    vec![
        print::name(object),
        ready.into(),
        print::integer(object, "status.updatedReplicas"),
        print::integer(object, "status.availableReplicas"),
        print::age(object, now),
        containers,
        images,
        print::selector(tree::get(object, "spec.selector")).into(),
    ]
}
