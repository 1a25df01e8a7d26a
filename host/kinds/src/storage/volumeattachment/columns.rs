//! `kubectl get volumeattachments`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column {
        format: "name",
        ..Column::text(
            "Attacher",
            "attacher indicates the name of the volume driver that MUST handle this request. This is the name returned by GetPluginName().",
        )
    },
    Column::text(
        "PV",
        "persistentVolumeName represents the name of the persistent volume to attach.",
    ),
    Column::text(
        "Node",
        "nodeName represents the node that the volume should be attached to.",
    ),
    Column::boolean(
        "Attached",
        "attached indicates the volume is successfully attached. This field must only be set by the entity completing the attach operation, i.e. the external-attacher.",
    ),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        print::name(object),
        tree::text(object, "spec.attacher").into(),
        tree::text(object, "spec.source.persistentVolumeName").into(),
        tree::text(object, "spec.nodeName").into(),
        tree::flag(object, "status.attached").into(),
        print::age(object, now),
    ]
}
