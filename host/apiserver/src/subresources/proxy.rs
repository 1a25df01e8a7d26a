//! `proxy` of nodes, pods and services: an HTTP request passed on to what stands behind the object.
//! Nodes are reached through their kubelet, pods and services at their addresses.

use std::net::IpAddr;
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{Request, Response};
use k3s_base::error::chain;
use k3s_meta::{LabelSelector, Status, tree};
use k3s_objects::endpoint_slice::SERVICE_NAME_LABEL;
use k3s_registry::{ListRequest, Object, Result, Selectors};
use k3s_serve::{Body, BoxIo, body, connect as outgoing, upgrade};
use serde_json::Value;
use tokio::net::TcpStream;

use super::stream::outbound;
use crate::context::Context;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
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

pub(super) async fn connect(
    context: &Context,
    mut request: Request<Body>,
) -> Result<Response<Body>> {
    let (io, authority) = match context.info.resource.as_str() {
        "nodes" => {
            let node = node_name(&context.info.name)?;
            context.core.kubelets.open(node).await?
        }
        "pods" => pod(context).await?,
        _ => service(context).await?,
    };
    let method = request.method().clone();
    let path = path_and_query(&context.info.rest, request.uri().query());
    let mut behind = outbound(&context.headers, method, &path, &authority)?;
    let failed = |error: k3s_serve::ServeError| {
        Status::service_unavailable(format!("error trying to reach service: {}", chain(&error)))
    };
    if upgrade::is_upgrade(&context.headers) {
        let answer = upgrade::proxy(&mut request, behind, io, &context.core.tasks).await;
        return Ok(answer.map_err(failed)?);
    }
    for hop in REQUEST_HOP_HEADERS {
        behind.headers_mut().remove(hop);
    }
    let may_have_body = !matches!(request.method().as_str(), "GET" | "HEAD");
    if may_have_body || behind.headers().contains_key(CONTENT_LENGTH) {
        *behind.body_mut() = request.into_body();
    }
    let mut answer = outgoing::send(io, behind, &context.core.tasks)
        .await
        .map_err(failed)?
        .map(body::boxed);
    for hop in ["connection", "keep-alive", "transfer-encoding"] {
        answer.headers_mut().remove(hop);
    }
    Ok(answer)
}

fn path_and_query(rest: &str, query: Option<&str>) -> String {
    let mut path = if rest.is_empty() {
        "/".to_owned()
    } else {
        encode_path(rest)
    };
    if let Some(query) = query {
        path.push('?');
        path.push_str(query);
    }
    path
}

/// A node may be named with the port of its kubelet; no other port is reachable.
fn node_name(name: &str) -> Result<&str> {
    match name.rsplit_once(':') {
        None => Ok(name),
        Some((node, "10250")) => Ok(node.trim_start_matches("https:")),
        Some(_) => Err(Status::bad_request(format!(
            "address not allowed: only the kubelet's port of {name:?} can be reached"
        ))
        .into()),
    }
}

/// Scheme, name and port of `name`, `name:port` or `scheme:name:port`.
fn split(name: &str) -> Result<(&str, &str)> {
    let parts: Vec<&str> = name.split(':').collect();
    match parts.as_slice() {
        [name] => Ok((name, "")),
        [name, port] | ["" | "http", name, port] => Ok((name, port)),
        ["https", ..] => Err(Status::bad_request(
            "proxying to an https port is not supported by this server; use port-forward or http",
        )
        .into()),
        _ => Err(Status::bad_request(format!("invalid proxy request {name:?}")).into()),
    }
}

async fn pod(context: &Context) -> Result<(BoxIo, String)> {
    let (name, port) = split(&context.info.name)?;
    let pods = context.registry().resource("", "v1", "pods")?;
    let pod = context
        .registry()
        .get(pods, &context.info.namespace, name)?
        .to_value()?;
    let port = match port {
        "" => first_port(&pod).ok_or_else(|| {
            Status::bad_request(format!("no port is named, and pod {name} has none"))
        })?,
        text => text
            .parse()
            .map_err(|_| Status::bad_request(format!("invalid port {text:?}")))?,
    };
    dial(tree::text(&pod, "status.podIP"), port).await
}

fn first_port(pod: &Value) -> Option<u16> {
    let containers = tree::list(pod, "spec.containers").iter();
    let port = containers
        .flat_map(|c| tree::list(c, "ports"))
        .find_map(|p| tree::int(p, "containerPort"))?;
    u16::try_from(port).ok()
}

/// One ready endpoint of the service.
async fn service(context: &Context) -> Result<(BoxIo, String)> {
    let (name, port) = split(&context.info.name)?;
    let none =
        || Status::service_unavailable(format!("no endpoints available for service {name:?}"));
    let services = context.registry().resource("", "v1", "services")?;
    let service = context
        .registry()
        .get(services, &context.info.namespace, name)?
        .to_value()?;
    let port_name = port_name(&service, port).ok_or_else(none)?;
    let slices = endpoint_slices(context, name).await?;
    let endpoint = slices
        .iter()
        .find_map(|slice| ready_endpoint(slice, port_name));
    let (address, port) = endpoint.ok_or_else(none)?;
    dial(address, port).await
}

/// The name of the service's port that a request asks for by name or number; the first port by
/// default.
fn port_name<'a>(service: &'a Value, wanted: &str) -> Option<&'a str> {
    let mut ports = tree::list(service, "spec.ports").iter();
    let port = ports.find(|port| {
        let number = tree::int(port, "port").map(|number| number.to_string());
        wanted.is_empty() || tree::text(port, "name") == wanted || number.as_deref() == Some(wanted)
    })?;
    Some(tree::text(port, "name"))
}

async fn endpoint_slices(context: &Context, service: &str) -> Result<Vec<Value>> {
    let registry = context.registry();
    let resource = registry.resource("discovery.k8s.io", "v1", "endpointslices")?;
    let labels = LabelSelector::parse(&format!("{SERVICE_NAME_LABEL}={service}"))
        .map_err(Status::bad_request)?;
    let request = ListRequest {
        selectors: Selectors {
            labels,
            ..Selectors::default()
        },
        ..ListRequest::all(&context.info.namespace)
    };
    let list = registry.list(resource, &request).await?;
    let slices = list.entries.into_iter();
    slices
        .map(|entry| Object::stored(resource, entry).to_value())
        .collect()
}

/// Address and port of the first ready endpoint of a slice that has the port.
fn ready_endpoint<'a>(slice: &'a Value, port_name: &str) -> Option<(&'a str, u16)> {
    let mut ports = tree::list(slice, "ports").iter();
    let port = ports.find(|port| tree::text(port, "name") == port_name)?;
    let number = u16::try_from(tree::int(port, "port")?).ok()?;
    let mut endpoints = tree::list(slice, "endpoints").iter();
    let ready = endpoints.find(|endpoint| tree::flag(endpoint, "conditions.ready"))?;
    let address = tree::list(ready, "addresses").first()?.as_str()?;
    Some((address, number))
}

async fn dial(address: &str, port: u16) -> Result<(BoxIo, String)> {
    let unreachable =
        |why: String| Status::service_unavailable(format!("error trying to reach service: {why}"));
    let ip: IpAddr = address
        .parse()
        .map_err(|_| unreachable("the pod has no address".to_owned()))?;
    // Loopback and link-local addresses are those of this machine, not of a pod.
    let link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    if ip.is_loopback() || link_local || ip.is_unspecified() {
        return Err(Status::bad_request("address not allowed").into());
    }
    let dialing = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((ip, port))).await;
    match dialing {
        Ok(Ok(stream)) => Ok((
            Box::new(stream),
            std::net::SocketAddr::new(ip, port).to_string(),
        )),
        Ok(Err(error)) => Err(unreachable(error.to_string()).into()),
        Err(_) => Err(unreachable("i/o timeout".to_owned()).into()),
    }
}

fn encode_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    super::log::push_escaped(&mut out, path);
    out
}
