//! `kubectl get endpointslices`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text(
        "AddressType",
        "addressType specifies the type of address carried by this EndpointSlice. All addresses in this slice must be the same type. This field is immutable after creation.",
    ),
    Column::text(
        "Ports",
        "ports specifies the list of network ports exposed by each endpoint in this slice. Each port must have a unique name. When ports is empty, it indicates that there are no defined ports.",
    ),
    Column::text(
        "Endpoints",
        "endpoints is a list of unique endpoints in this slice. Each slice may include a maximum of 1000 endpoints.",
    ),
    Column::AGE,
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports = print::first_three(tree::list(object, "ports").iter().map(port));
    let endpoints = tree::list(object, "endpoints")
        .iter()
        .flat_map(|endpoint| tree::texts(endpoint, "addresses"));
    let endpoints = print::first_three(endpoints.map(str::to_owned));
    vec![
        print::name(object),
        tree::text(object, "addressType").into(),
        ports.into(),
        endpoints.into(),
        print::age(object, now),
    ]
}

fn port(port: &Value) -> String {
    match (tree::int(port, "port"), tree::get(port, "name")) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) => name.as_str().unwrap_or_default().to_owned(),
        (None, None) => "*".to_owned(),
    }
}
