//! Subresources: one file each, for all kinds that have them.

mod binding;
mod eviction;
mod log;
mod part;
mod proxy;
mod scale;
mod stream;
mod target;
mod token;

use std::sync::Arc;

use http::{Method, Request, Response};
use k3s_meta::Status;
use k3s_registry::{Resource, Result, Scope};
use k3s_serve::Body;

use crate::context::Context;
use crate::respond;

pub(crate) use binding::create as create_binding;

/// Sends a request for a subresource to its handler.
pub(crate) async fn dispatch(
    context: Arc<Context>,
    resource: Arc<Resource>,
    request: Request<Body>,
) -> Result<Response<Body>> {
    let info = &context.info;
    let Some(known) = resource.kind.subresource(&info.subresource) else {
        return respond::route::unknown(&info.group);
    };
    if resource.kind.namespaced && info.namespace.is_empty() {
        return respond::route::unknown(&info.group);
    }
    // A proxied OPTIONS has no verb of its own (`requestinfo.go`): only who may use every verb may send it.
    let options = known.name == "proxy" && request.method() == Method::OPTIONS;
    if !known.verbs.contains(&info.verb) && !options {
        return Err(respond::route::without(&resource, info.verb));
    }
    if known.connect && context.query.all("dryRun").next().is_some() {
        return Err(Status::bad_request("dryRun is not supported").into());
    }
    if !info.rest.is_empty() && known.name != "proxy" {
        return respond::route::unknown(&info.group);
    }
    if let Some(own) = resource.strategy.rules().subresource(known.name) {
        return part::handle(&context, &resource, request, Scope::Subresource(own)).await;
    }
    match known.name {
        "status" => part::handle(&context, &resource, request, Scope::Status).await,
        "scale" => scale::handle(&context, &resource, request).await,
        "binding" => binding::create(&context, &resource, request).await,
        "eviction" => eviction::create(&context, &resource, request).await,
        "token" => token::create(&context, &resource, request).await,
        "log" => log::get(&context, request).await,
        "exec" | "attach" | "portforward" => stream::connect(&context, request).await,
        "proxy" => proxy::connect(&context, request).await,
        other => Err(Status::bad_request(format!(
            "the subresource {other:?} is not supported by this server"
        ))
        .into()),
    }
}

/// The HTTP method behind a verb, for requests that are passed on.
pub(crate) fn method(verb: &str) -> Method {
    match verb {
        "create" => Method::POST,
        "update" => Method::PUT,
        "patch" => Method::PATCH,
        "delete" => Method::DELETE,
        _ => Method::GET,
    }
}
