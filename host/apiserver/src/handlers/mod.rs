//! One handler per verb, for all kinds.

mod create;
mod delete;
mod get;
mod list;
mod patch;
mod update;
mod watch;

use std::sync::Arc;

use http::{Method, Request, Response};
use k3s_meta::Status;
use k3s_registry::{Resource, Result};
use k3s_resources::apiextensions::CustomResource;
use k3s_serve::Body;

use crate::context::Context;
use crate::request::RequestInfo;
use crate::{respond, reviews, subresources, support};

pub(crate) use patch::{patch_tree, patch_with};
pub(crate) use update::{check_name, put};

/// Sends a request for an object or collection to its handler.
pub(crate) async fn dispatch(
    context: Arc<Context>,
    request: Request<Body>,
) -> Result<Response<Body>> {
    let info = &context.info;
    let Some(resource) =
        context
            .registry()
            .resources()
            .find(&info.group, &info.version, &info.resource)
    else {
        return respond::route::unknown(&info.group);
    };
    support::warn_if_deprecated(&resource, &context.warnings);
    if is_misplaced(info, &resource) {
        return respond::route::unknown(&info.group);
    }
    if let Some(custom) = CustomResource::of(&resource) {
        check_definition(&context, &resource, custom)?;
    }
    if reviews::serves(&resource) {
        return reviews::dispatch(context, resource, request).await;
    }
    if !info.subresource.is_empty() {
        return subresources::dispatch(context, resource, request).await;
    }
    if !takes(info, &resource, request.method()) {
        return Err(respond::route::without(&resource, info.verb));
    }
    check_scope(&context, &resource)?;
    if info.is_mutating() {
        support::warn_if_idle(&resource, info.verb, &context.warnings);
    }
    match info.verb {
        "get" => get::handle(&context, &resource),
        "list" => list::handle(context, resource).await,
        "watch" => watch::handle(context, resource).await,
        "create" => create::handle(&context, &resource, request).await,
        "update" => update::handle(&context, &resource, request).await,
        "patch" => patch::handle(&context, &resource, request).await,
        "delete" => delete::one(&context, &resource, request).await,
        "deletecollection" => delete::collection(context, resource, request).await,
        verb => Err(respond::route::without(&resource, verb)),
    }
}

/// Whether the path gives a namespace to what has none, or names an object outside of its namespace.
fn is_misplaced(info: &RequestInfo, resource: &Resource) -> bool {
    if resource.kind.namespaced {
        info.namespace.is_empty() && info.is_named
    } else {
        !info.namespace.is_empty() && !resource.is("", "namespaces")
    }
}

/// Whether the resource has the verb, by this method.
fn takes(info: &RequestInfo, resource: &Resource, method: &Method) -> bool {
    // A collection is not replaced or patched as a whole.
    let is_nameless = info.name.is_empty() && matches!(info.verb, "update" | "patch");
    // The old form of a watch has one method; of custom resources only the verb counts.
    let is_other_method = info.verb == "watch"
        && !matches!(*method, Method::GET | Method::HEAD)
        && CustomResource::of(resource).is_none();
    resource.kind.has_verb(info.verb) && !is_nameless && !is_other_method
}

/// What the definition of a custom resource has to say about a request.
fn check_definition(context: &Context, resource: &Resource, custom: &CustomResource) -> Result<()> {
    if let Some(warning) = &custom.deprecation {
        context.warnings.add(warning.as_str());
    }
    let verb = context.info.verb;
    if verb == "create" && custom.is_terminating() {
        let mut status = Status::method_not_allowed(&resource.gr(), verb);
        status.message =
            format!("{verb} not allowed while custom resource definition is terminating");
        return Err(status.into());
    }
    Ok(())
}

/// Single objects and writes of namespaced resources need a namespace.
fn check_scope(context: &Context, resource: &Resource) -> Result<()> {
    let info = &context.info;
    let across = matches!(info.verb, "list" | "watch");
    if !resource.kind.namespaced || !info.namespace.is_empty() || across {
        return Ok(());
    }
    if info.name.is_empty() || CustomResource::of(resource).is_some() {
        Err(respond::route::without(resource, info.verb))
    } else {
        Err(Status::no_route().into())
    }
}

/// The namespace under which the registry keeps the object.
pub(crate) fn namespace<'a>(context: &'a Context, resource: &Resource) -> &'a str {
    if resource.kind.namespaced {
        &context.info.namespace
    } else {
        ""
    }
}
