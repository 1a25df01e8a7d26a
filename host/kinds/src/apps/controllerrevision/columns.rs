//! `kubectl get controllerrevisions`.

use jiff::Timestamp;
use serde_json::Value;

use crate::column::Column;
use crate::print;
use k3s_meta::object::OwnerReference;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("Controller", "Controller of the object"),
    Column::text(
        "Revision",
        "Revision indicates the revision of the state represented by Data.",
    ),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let controller = k3s_meta::object::controller_of(object)
        .map_or_else(|| print::NONE.to_owned(), |owner| reference(&owner));
    vec![
        print::name(object),
        controller.into(),
        print::integer(object, "revision"),
        print::age(object, now),
    ]
}

fn reference(owner: &OwnerReference) -> String {
    let kind = owner.kind.to_lowercase();
    match owner.api_version.split_once('/') {
        Some((group, _)) => format!("{kind}.{}/{}", group.to_lowercase(), owner.name),
        None => format!("{kind}/{}", owner.name),
    }
}
