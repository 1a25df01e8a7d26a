//! POST of a new object.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use k3s_meta::{Status, object};
use k3s_registry::{Resource, Result, check_namespace};
use k3s_serve::Body;

use super::namespace;
use crate::context::Context;
use crate::request::body;
use crate::request::options::WriteOptions;
use crate::respond;

pub(super) async fn handle(
    context: &Context,
    resource: &Arc<Resource>,
    request: Request<Body>,
) -> Result<Response<Body>> {
    if !context.info.name.is_empty() {
        return Err(respond::route::without(resource, "create"));
    }
    let options = WriteOptions::read(&context.query, "CreateOptions")?;
    let bytes = body::read(request.into_body()).await?;
    let mut object = body::object(
        &context.headers,
        &bytes,
        resource,
        options.validation,
        &context.warnings,
    )
    .await?;
    drop(bytes);
    check_namespace(resource, namespace(context, resource), &mut object)?;
    if object::name(&object).is_empty() && object::generate_name(&object).is_empty() {
        let path = k3s_meta::Path::new("metadata").child("name");
        let error = k3s_meta::field::required(&path, "name or generateName is required");
        return Err(Status::invalid(&resource.gk(), "", &error.into()).into());
    }
    context.check_grants(resource, &object, None)?;
    let call = context.call(options.dry_run);
    let object = context
        .registry()
        .create(resource, namespace(context, resource), object, &call)
        .await?;
    respond::object::response(context, StatusCode::CREATED, &object)
}
