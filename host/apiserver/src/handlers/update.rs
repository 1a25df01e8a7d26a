//! PUT of an object.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use k3s_meta::{Status, object};
use k3s_registry::{Resource, Result, Scope, Update, check_namespace};
use k3s_serve::Body;
use serde_json::Value;

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
    put(context, resource, request, Scope::Main).await
}

/// Replaces the part of the object that `scope` reaches.
pub(crate) async fn put(
    context: &Context,
    resource: &Arc<Resource>,
    request: Request<Body>,
    scope: Scope,
) -> Result<Response<Body>> {
    let options = WriteOptions::read(&context.query, "UpdateOptions")?;
    let bytes = body::read(request.into_body()).await?;
    let mut new = body::object(
        &context.headers,
        &bytes,
        resource,
        options.validation,
        &context.warnings,
    )
    .await?;
    drop(bytes);
    check_namespace(resource, namespace(context, resource), &mut new)?;
    check_name(&context.info.name, &new)?;
    let create_missing = matches!(scope, Scope::Main) && resource.strategy.rules().create_on_update;
    let update = Update {
        resource,
        namespace: namespace(context, resource),
        name: &context.info.name,
        scope,
        create_missing,
    };
    let call = context.call(options.dry_run);
    // The tree is cloned only when another write was faster.
    let mut first = Some(new.clone());
    let make = |current: Option<&Value>| {
        let object = first.take().unwrap_or_else(|| new.clone());
        if current.is_none() {
            context.check_create()?;
        }
        context.check_grants(resource, &object, current)?;
        Ok(object)
    };
    let updated = context.registry().update(&update, &call, make).await?;
    let code = if updated.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    respond::object::response(context, code, &updated.object)
}

/// The name in the object must be the one in the path.
///
/// # Errors
/// 400 for another name or none.
pub(crate) fn check_name(name: &str, object: &Value) -> Result<()> {
    let named = object::name(object);
    if named == name {
        return Ok(());
    }
    let why = if named.is_empty() {
        format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )
    } else {
        format!("the name of the object ({named}) does not match the name on the URL ({name})")
    };
    Err(Status::bad_request(why).into())
}
