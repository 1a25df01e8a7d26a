//! What the driver reads of EndpointSlices: the Service they belong to and the nodes with a ready
//! endpoint.

use k3s_client::Obj;
use serde::Deserialize;

const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

#[derive(Deserialize, Default)]
#[serde(default)]
struct Slice {
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Endpoint {
    node_name: Option<String>,
    conditions: Conditions,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
}

/// The Service's key, `namespace/name`; none for a slice without the label.
pub(crate) fn service_of(slice: &Obj) -> Option<String> {
    let name = slice.label(SERVICE_NAME_LABEL)?;
    Some(format!("{}/{name}", slice.namespace()))
}

/// Nodes with a ready endpoint; an absent condition means ready.
pub(crate) fn ready_nodes(slice: &Obj) -> Vec<String> {
    let read = slice.decode::<Slice>();
    if let Err(error) = &read {
        tracing::warn!(object = %slice.key(), %error, "left out, since it cannot be read");
    }
    let endpoints = read.unwrap_or_default().endpoints.into_iter();
    endpoints
        .filter(|e| e.conditions.ready.unwrap_or(true))
        .filter_map(|e| e.node_name)
        .collect()
}
