//! `kubectl get podtemplates`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("Containers", "Names of each container in the template."),
    Column::text(
        "Images",
        "Images referenced by each container in the template.",
    ),
    Column::text("Pod Labels", "The labels for the pod template."),
];

pub(super) fn cells(object: &Value, _now: Timestamp) -> Vec<Value> {
    let (containers, images) = print::containers(tree::get(object, "template.spec"));
    vec![
        print::name(object),
        containers,
        images,
        print::labels(tree::map(object, "template.metadata.labels")).into(),
    ]
}
