//! What the driver reads of EndpointSlices: the Service they belong to and the nodes with a ready
//! endpoint.

use k3s_base::error::chain;
use k3s_client::Obj;
use k3s_objects::EndpointSlice;
use k3s_objects::endpoint_slice::SERVICE_NAME_LABEL;

/// The Service's key, `namespace/name`; none for a slice without the label.
pub(crate) fn service_of(slice: &Obj) -> Option<String> {
    let name = slice.label(SERVICE_NAME_LABEL)?;
    Some(format!("{}/{name}", slice.namespace()))
}

/// Nodes with a ready endpoint. A slice that cannot be read adds none.
pub(crate) fn ready_nodes(slice: &Obj) -> Vec<String> {
    let view = slice.typed::<EndpointSlice>();
    if let Err(error) = &view {
        let (object, error) = (slice.key(), chain(error));
        tracing::warn!(%object, error, "an EndpointSlice cannot be read");
    }
    let endpoints = view.iter().flat_map(|slice| &slice.endpoints);
    endpoints
        .filter(|endpoint| endpoint.conditions.is_ready())
        .filter_map(|endpoint| endpoint.node_name.clone())
        .collect()
}
