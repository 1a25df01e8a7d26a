//! `kubectl get replicationcontrollers`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::integer("Desired", "Replicas is the number of desired replicas. This is a pointer to distinguish between explicit zero and unspecified. Defaults to 1. More info: https://kubernetes.io/docs/concepts/workloads/controllers/replicationcontroller#what-is-a-replicationcontroller"),
    Column::integer("Current", "Replicas is the most recently observed number of replicas. More info: https://kubernetes.io/docs/concepts/workloads/controllers/replicationcontroller#what-is-a-replicationcontroller"),
    Column::integer("Ready", "The number of ready replicas for this replication controller."),
    Column::AGE,
    Column::CONTAINERS,
    Column::IMAGES,
    Column::text("Selector", "Selector is a label query over pods that should match the Replicas count. If Selector is empty, it is defaulted to the labels present on the Pod template. Label keys and values that must match in order to be controlled by this replication controller, if empty defaulted to labels on Pod template. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors").wide(),
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let (containers, images) = print::containers(tree::get(object, "spec.template.spec"));
    vec![
        print::name(object),
        print::integer(object, "spec.replicas"),
        print::integer(object, "status.replicas"),
        print::integer(object, "status.readyReplicas"),
        print::age(object, now),
        containers,
        images,
        print::labels(tree::map(object, "spec.selector")).into(),
    ]
}
