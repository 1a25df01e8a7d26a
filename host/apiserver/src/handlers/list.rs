//! LIST of a collection.

use std::sync::Arc;

use http::Response;
use k3s_registry::{Resource, Result};
use k3s_serve::Body;

use crate::context::Context;
use crate::request::options;
use crate::respond;

pub(super) async fn handle(
    context: Arc<Context>,
    resource: Arc<Resource>,
) -> Result<Response<Body>> {
    let request = options::list(&context.info, &context.query, &resource)?;
    let list = context.registry().list(&resource, &request).await?;
    respond::list::response(context, &resource, list)
}
