//! Endpoint slices.

mod endpointslice;

use crate::rules::KindRules;

/// Rules of a kind of the group `discovery.k8s.io`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "EndpointSlice" => &endpointslice::EndpointSlice,
        _ => return None,
    })
}
