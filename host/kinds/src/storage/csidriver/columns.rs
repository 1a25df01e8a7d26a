//! `kubectl get csidrivers`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::boolean(
        "AttachRequired",
        "attachRequired indicates this CSI volume driver requires an attach operation.",
    ),
    Column::boolean(
        "PodInfoOnMount",
        "podInfoOnMount indicates this CSI volume driver requires additional pod information (like podName, podUID, etc.) during mount operations, if set to true. If set to false, pod information will not be passed on mount. Default is false.",
    ),
    Column::boolean(
        "StorageCapacity",
        "storageCapacity indicates that the CSI volume driver wants pod scheduling to consider the storage capacity that the driver deployment will report by creating CSIStorageCapacity objects with capacity information, if set to true.",
    ),
    Column::text(
        "TokenRequests",
        "tokenRequests indicates the CSI driver needs pods' service account tokens it is mounting volume for to do necessary authentication.",
    ),
    Column::boolean(
        "RequiresRepublish",
        "requiresRepublish indicates the CSI driver wants `NodePublishVolume` being periodically called to reflect any possible change in the mounted volume.",
    ),
    Column::text(
        "Modes",
        "volumeLifecycleModes defines what kind of volumes this CSI volume driver supports.",
    ),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let flag = |field, default: bool| {
        tree::get(spec, field)
            .and_then(Value::as_bool)
            .unwrap_or(default)
            .into()
    };
    let tokens = match tree::get(spec, "tokenRequests").and_then(Value::as_array) {
        None => print::UNSET.to_owned(),
        Some(requests) => requests
            .iter()
            .map(|request| tree::text(request, "audience"))
            .collect::<Vec<_>>()
            .join(","),
    };
    vec![
        print::name(object),
        flag("attachRequired", true),
        flag("podInfoOnMount", false),
        flag("storageCapacity", false),
        tokens.into(),
        flag("requiresRepublish", false),
        print::or_none(&tree::texts(object, "spec.volumeLifecycleModes").join(",")),
        print::age(object, now),
    ]
}
