//! `exec`, `attach` and `portforward`: the upgrade is passed on to the kubelet and bytes are copied
//! both ways, whatever protocol (WebSocket or SPDY) runs in it. A port forward that arrives in a
//! WebSocket is sent on as SPDY, the only protocol that runtimes speak for it.

use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Response};
use k3s_meta::Status;
use k3s_registry::{Admission, Error, Operation, Result};
use k3s_serve::{Body, body, tunnel, upgrade};
use serde_json::json;

use super::log::push_escaped;
use super::target::{PodTarget, bound_pod};
use crate::context::Context;

/// Headers of the client that concern this server and not the kubelet.
const OWN_HEADERS: [&str; 3] = ["cookie", "origin", "accept-encoding"];

pub(super) async fn connect(
    context: &Context,
    mut request: Request<Body>,
) -> Result<Response<Body>> {
    if !upgrade::is_upgrade(&context.headers) {
        return Err(Status::bad_request("Upgrade request required").into());
    }
    let (node, path) = address(context)?;
    admit(context).await?;
    let (io, authority) = context.core.kubelets.open(&node).await?;
    let outbound = outbound(
        &context.headers,
        super::method(context.info.verb),
        &path,
        &authority,
    )?;
    let answer =
        if context.info.subresource == "portforward" && tunnel::is_request(&context.headers) {
            // The handshake is read from the request, whose headers the chain took out.
            request.headers_mut().clone_from(&context.headers);
            tunnel::proxy(&mut request, outbound, io, &context.core.tasks).await
        } else {
            upgrade::proxy(&mut request, outbound, io, &context.core.tasks).await
        };
    answer.map_err(|error| Status::internal(&format!("error dialing backend: {error}")).into())
}

/// Node and path of the request at the kubelet.
fn address(context: &Context) -> Result<(String, String)> {
    let info = &context.info;
    if info.subresource == "portforward" {
        let (_, node) = bound_pod(context)?;
        let mut path = format!("/portForward/{}/{}", info.namespace, info.name);
        let ports: Vec<&str> = context.query.all("ports").collect();
        for (at, port) in ports.iter().enumerate() {
            path.push(if at == 0 { '?' } else { '&' });
            path.push_str("port=");
            push_escaped(&mut path, port);
        }
        return Ok((node, path));
    }
    let target = PodTarget::find(context, context.query.get("container"))?;
    let mut path = format!(
        "/{}/{}/{}/{}",
        info.subresource, target.namespace, target.name, target.container
    );
    push_streams(context, &mut path)?;
    Ok((target.node, path))
}

/// The kubelet has its own names for the streams.
fn push_streams(context: &Context, path: &mut String) -> Result<()> {
    let query = &context.query;
    let mut separator = '?';
    let mut push = |name: &str, value: &str| {
        path.push(std::mem::replace(&mut separator, '&'));
        path.push_str(name);
        path.push('=');
        push_escaped(path, value);
    };
    let mut any = false;
    for (asked, name) in [
        ("stdin", "input"),
        ("stdout", "output"),
        ("stderr", "error"),
        ("tty", "tty"),
    ] {
        if query.flag(asked) {
            push(name, "1");
            any |= asked != "tty";
        }
    }
    if !any {
        return Err(
            Status::bad_request("you must specify at least 1 of stdin, stdout, stderr").into(),
        );
    }
    if context.info.subresource == "exec" {
        let mut commands = 0_usize;
        for command in query.all("command") {
            push("command", command);
            commands = commands.saturating_add(1);
        }
        if commands == 0 {
            return Err(Status::bad_request("you must specify a command").into());
        }
    }
    Ok(())
}

async fn admit(context: &Context) -> Result<()> {
    let info = &context.info;
    let pods = context.registry().resource("", "v1", "pods")?;
    let (subresource, namespace, name) = (&info.subresource, &info.namespace, &info.name);
    let call = context.call(false);
    let attributes = call.attributes(Operation::Connect, pods, subresource, namespace, name);
    context
        .core
        .admission
        .validate(&attributes, Some(&json!({})), None)
        .await
}

/// The client's request as it is sent to the server behind: its credential stays here, the connection
/// itself proves who asks.
pub(super) fn outbound(
    headers: &HeaderMap,
    method: http::Method,
    path: &str,
    authority: &str,
) -> Result<Request<Body>> {
    let internal = |error: String| Error::from(Status::internal(&error));
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .body(body::empty())
        .map_err(|error| internal(error.to_string()))?;
    let out = request.headers_mut();
    for (name, value) in headers {
        let own = name == AUTHORIZATION || name == HOST || OWN_HEADERS.contains(&name.as_str());
        if !own && !name.as_str().starts_with("impersonate-") {
            out.append(HeaderName::clone(name), HeaderValue::clone(value));
        }
    }
    out.insert(
        HOST,
        HeaderValue::from_str(authority).map_err(|error| internal(error.to_string()))?,
    );
    Ok(request)
}
