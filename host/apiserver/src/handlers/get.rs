//! GET of one object: a lookup and a splice.

use std::sync::Arc;

use http::{Response, StatusCode};
use k3s_meta::Status;
use k3s_registry::{Resource, Result};
use k3s_serve::Body;

use super::namespace;
use crate::context::Context;
use crate::respond;

pub(super) fn handle(context: &Context, resource: &Arc<Resource>) -> Result<Response<Body>> {
    // The state in memory is the newest, so every version but a future one is served by it.
    if let Some(version) = context
        .query
        .get("resourceVersion")
        .and_then(|text| text.parse::<u64>().ok())
    {
        let current = context.registry().store().revision().0;
        if version > current {
            return Err(Status::too_large_resource_version(version, current, 1).into());
        }
    }
    let object =
        context
            .registry()
            .get(resource, namespace(context, resource), &context.info.name)?;
    respond::object::response(context, StatusCode::OK, &object)
}
