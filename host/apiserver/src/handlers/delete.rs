//! DELETE of one object, and of everything a list shows.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use k3s_meta::{Details, Status, object};
use k3s_registry::{DeleteOptions, Deleted, Object, Resource, Result};
use k3s_serve::Body;
use serde_json::{Value, json};

use super::namespace;
use crate::context::Context;
use crate::request::{body, options};
use crate::respond;

pub(super) async fn one(
    context: &Context,
    resource: &Arc<Resource>,
    request: Request<Body>,
) -> Result<Response<Body>> {
    let (options, dry_run) = read_options(context, request).await?;
    warn_of_orphans(context, resource, &options);
    let call = context.call(dry_run);
    let name = &context.info.name;
    let deleted = context
        .registry()
        .delete(
            resource,
            namespace(context, resource),
            name,
            &options,
            &call,
        )
        .await?;
    let mut response = answer(context, &deleted)?;
    if options.accept_pending && matches!(deleted, Deleted::Pending(_)) {
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    Ok(response)
}

/// Jobs leave their pods where the client does not say otherwise (`pkg/registry/batch/job/storage`).
fn warn_of_orphans(context: &Context, resource: &Resource, options: &DeleteOptions) {
    let kind = &resource.kind;
    if options.propagation.is_none() && kind.group == "batch" && kind.plural == "jobs" {
        context.warnings.add(
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning",
        );
    }
}

/// The answer to a deletion: the object while it stays, otherwise a plain success for most kinds.
pub(crate) fn answer(context: &Context, deleted: &Deleted) -> Result<Response<Body>> {
    let object = deleted.object();
    let resource = object.resource();
    let returns_object = resource.strategy.rules().delete.returns_object;
    match deleted {
        Deleted::Gone(_) if !returns_object => success(context, object),
        _ => respond::object::response(context, StatusCode::OK, object),
    }
}

fn success(context: &Context, object: &Object) -> Result<Response<Body>> {
    let value = object.to_value()?;
    let resource = object.resource();
    let details = Details {
        name: object::name(&value).to_owned(),
        group: resource.kind.group.to_owned(),
        kind: resource.kind.plural.to_owned(),
        uid: object::uid(&value).to_owned(),
        ..Details::default()
    };
    let mut status = Status::success(Some(details));
    // A successful status carries no code in its body.
    status.code = 0;
    respond::tree(context, StatusCode::OK, &status.to_value())
}

pub(super) async fn collection(
    context: Arc<Context>,
    resource: Arc<Resource>,
    request: Request<Body>,
) -> Result<Response<Body>> {
    let list = options::ListOptions::read(&context.info, &context.query, &resource)?;
    let (options, dry_run) = read_options(&context, request).await?;
    let list = list.at(&context.query)?;
    warn_of_orphans(&context, &resource, &options);
    let call = context.call(dry_run);
    let (list, objects) = context
        .registry()
        .delete_collection(&resource, &list, &options, &call)
        .await?;
    let items = objects
        .iter()
        .map(Object::to_value)
        .collect::<Result<Vec<Value>>>()?;
    let answer = json!({
        "kind": resource.kind.list_kind,
        "apiVersion": resource.api_version,
        "metadata": {"resourceVersion": list.revision.to_string()},
        "items": items,
    });
    respond::tree(&context, StatusCode::OK, &answer)
}

/// Options in the body win over those in the query.
pub(crate) async fn read_options(
    context: &Context,
    request: Request<Body>,
) -> Result<(DeleteOptions, bool)> {
    let bytes = body::read(request.into_body()).await?;
    let options = if bytes.is_empty() {
        None
    } else {
        Some(body::delete_options(context, &bytes).await?)
    };
    options::delete(&context.query, options.as_ref())
}
