//! `proxy` of nodes, pods and services: an HTTP request passed on to what stands behind the object.
//! Nodes are reached through their kubelet, pods and services at their addresses. Links of what comes back
//! lead through the proxy again.
//!
//! Upstream: `apimachinery/pkg/util/proxy`, `pkg/registry/core/{node,pod,service}`.

mod html;
mod links;
mod name;
mod target;

use http::header::{CONTENT_LENGTH, HOST, HeaderValue, LOCATION};
use http::{HeaderMap, Request, Response, StatusCode};
use k3s_base::error::chain;
use k3s_meta::Status;
use k3s_registry::{Error, Result};
use k3s_serve::{Body, RemoteAddr, ServeError, body, connect as outgoing, upgrade};

use self::links::Links;
use super::stream::outbound;
use crate::context::Context;

/// Headers that concern one connection only (RFC 9110, section 7.6.1).
const REQUEST_HOP_HEADERS: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const ANSWER_HOP_HEADERS: [&str; 3] = ["connection", "keep-alive", "transfer-encoding"];
/// A workload must not open this server to pages of other origins.
const ORIGIN_HEADERS: [&str; 4] = [
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
];

pub(super) async fn connect(
    context: &Context,
    mut request: Request<Body>,
) -> Result<Response<Body>> {
    let target = target::find(context).await?;
    let upgrades = upgrade::is_upgrade(&context.headers);
    let reads = matches!(request.method().as_str(), "GET" | "HEAD");
    if context.info.rest.is_empty() && reads && !upgrades {
        return redirect_to_root(context, request.uri().query());
    }
    let (io, authority) = target.dial(context).await?;
    let path = path_and_query(&context.info.rest, request.uri().query());
    let host = client_host(context, &request).unwrap_or_else(|| authority.clone());
    let mut behind = outbound(&context.headers, request.method().clone(), &path, &host)?;
    forwarded_for(&request, behind.headers_mut());
    if upgrades {
        let answer = upgrade::proxy(&mut request, behind, io, &context.core.tasks).await;
        return answer.map_err(|error| unreachable(&error));
    }
    let links = Links::new(&context.info, vec![authority, host]);
    links.announce(&path, behind.headers_mut());
    for hop in REQUEST_HOP_HEADERS {
        behind.headers_mut().remove(hop);
    }
    if !reads || behind.headers().contains_key(CONTENT_LENGTH) {
        *behind.body_mut() = request.into_body();
    }
    let answer = outgoing::send(io, behind, &context.core.tasks).await;
    let mut answer = answer
        .map_err(|error| unreachable(&error))?
        .map(body::boxed);
    for header in ANSWER_HOP_HEADERS.iter().chain(&ORIGIN_HEADERS) {
        answer.headers_mut().remove(*header);
    }
    Ok(links.rewrite(answer))
}

fn unreachable(error: &ServeError) -> Error {
    Status::service_unavailable(format!("error trying to reach service: {}", chain(error))).into()
}

/// Relative links of a page need its path to end with a slash.
fn redirect_to_root(context: &Context, query: Option<&str>) -> Result<Response<Body>> {
    let mut location = format!("{}/", context.info.path);
    if let Some(query) = query {
        location.push('?');
        location.push_str(query);
    }
    let location = HeaderValue::try_from(location)
        .map_err(|_unprintable| Status::bad_request("invalid path"))?;
    let mut answer = Response::new(body::empty());
    *answer.status_mut() = StatusCode::MOVED_PERMANENTLY;
    answer.headers_mut().insert(LOCATION, location);
    Ok(answer)
}

fn path_and_query(rest: &str, query: Option<&str>) -> String {
    let mut path = String::new();
    super::log::push_escaped(&mut path, if rest.is_empty() { "/" } else { rest });
    if let Some(query) = query {
        path.push('?');
        path.push_str(query);
    }
    path
}

/// The host that the client asked, which the workload is told.
fn client_host(context: &Context, request: &Request<Body>) -> Option<String> {
    let header = context
        .headers
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    header.or(authority).map(str::to_owned)
}

/// Adds the client to those for whom the request was passed on.
fn forwarded_for(request: &Request<Body>, headers: &mut HeaderMap) {
    let Some(RemoteAddr(address)) = request.extensions().get::<RemoteAddr>() else {
        return;
    };
    let before = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok().map(str::to_owned));
    let mut all: Vec<String> = before.collect();
    all.push(address.ip().to_canonical().to_string());
    if let Ok(value) = HeaderValue::try_from(all.join(", ")) {
        headers.insert("x-forwarded-for", value);
    }
}
