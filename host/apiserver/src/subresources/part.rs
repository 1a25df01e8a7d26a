//! `status`, `finalize`, `approval`, `ephemeralcontainers`: the parent object, of which a part may
//! change.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use k3s_registry::{Resource, Result, Scope};
use k3s_serve::Body;

use crate::context::Context;
use crate::handlers::{self, patch_with, put};
use crate::respond;

pub(super) async fn handle(
    context: &Context,
    resource: &Arc<Resource>,
    request: Request<Body>,
    scope: Scope,
) -> Result<Response<Body>> {
    match context.info.verb {
        "get" => {
            let namespace = handlers::namespace(context, resource);
            let object = context
                .registry()
                .get(resource, namespace, &context.info.name)?;
            respond::object::response(context, StatusCode::OK, &object)
        }
        "update" => put(context, resource, request, scope).await,
        "patch" => patch_with(context, resource, request, scope).await,
        verb => Err(respond::route::without(resource, verb)),
    }
}
