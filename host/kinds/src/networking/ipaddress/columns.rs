//! `kubectl get ipaddresses`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "ParentRef",
        "ParentRef references the resource that an IPAddress is attached to. An IPAddress must reference a parent object.",
    ),
];

pub(super) fn cells(object: &Value, _now: Timestamp) -> Vec<Value> {
    let parent = tree::get(object, "spec.parentRef").map_or_else(|| print::NONE.to_owned(), parent);
    vec![print::name(object), parent.into()]
}

fn parent(parent: &Value) -> String {
    let parts = ["group", "resource", "namespace", "name"];
    let resource = tree::text(parent, "resource");
    let [group, _, namespace, name] = parts.map(|part| tree::text(parent, part));
    let resource = if group.is_empty() {
        resource.to_owned()
    } else {
        format!("{resource}.{group}")
    };
    [resource.as_str(), namespace, name]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("/")
}
