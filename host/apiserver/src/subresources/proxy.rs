//! `proxy` of nodes, pods and services: an HTTP request passed on to what stands behind the object.
//! Nodes are reached through their kubelet, pods and services at their addresses.

use std::net::IpAddr;
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{Request, Response};
use k3s_base::error::chain;
use k3s_meta::{Status, tree};
use k3s_registry::{ListRequest, Object, Result, Selectors};
use k3s_serve::{Body, BoxIo, body, connect as outgoing, upgrade};
use serde_json::Value;
use tokio::net::TcpStream;

use super::stream::outbound;
use crate::context::Context;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn connect(
    context: &Context,
    mut request: Request<Body>,
) -> Result<Response<Body>> {
    let (io, authority) = match context.info.resource.as_str() {
        "nodes" => {
            context
                .core
                .kubelets
                .open(node_name(&context.info.name)?)
                .await?
        }
        "pods" => pod(context).await?,
        _ => service(context).await?,
    };
    let mut path = if context.info.rest.is_empty() {
        "/".to_owned()
    } else {
        encode_path(&context.info.rest)
    };
    if let Some(query) = request.uri().query() {
        path.push('?');
        path.push_str(query);
    }
    let upgrades = upgrade::is_upgrade(&context.headers);
    let mut behind = outbound(
        &context.headers,
        request.method().clone(),
        &path,
        &authority,
    )?;
    let failed = |error: k3s_serve::ServeError| {
        Status::service_unavailable(format!("error trying to reach service: {}", chain(&error)))
    };
    if upgrades {
        return Ok(
            upgrade::proxy(&mut request, behind, io, &context.core.tasks)
                .await
                .map_err(failed)?,
        );
    }
    for hop in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ] {
        behind.headers_mut().remove(hop);
    }
    if !behind.headers().contains_key(CONTENT_LENGTH)
        && matches!(request.method().as_str(), "GET" | "HEAD")
    {
        drop(request);
    } else {
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
    let namespace = &context.info.namespace;
    let services = context.registry().resource("", "v1", "services")?;
    let service = context
        .registry()
        .get(services, namespace, name)?
        .to_value()?;
    let none =
        || Status::service_unavailable(format!("no endpoints available for service {name:?}"));
    let ports = tree::list(&service, "spec.ports");
    let wanted = match port {
        "" => ports.first(),
        text => ports.iter().find(|p| {
            tree::text(p, "name") == text
                || tree::int(p, "port").is_some_and(|n| n.to_string() == text)
        }),
    };
    let port_name = tree::text(wanted.ok_or_else(none)?, "name");
    let slices = context
        .registry()
        .resource("discovery.k8s.io", "v1", "endpointslices")?;
    let labels = k3s_meta::LabelSelector::parse(&format!("kubernetes.io/service-name={name}"))
        .map_err(Status::bad_request)?;
    let selectors = Selectors {
        labels,
        ..Selectors::default()
    };
    let list = context
        .registry()
        .list(
            slices,
            &ListRequest {
                selectors,
                ..ListRequest::all(namespace)
            },
        )
        .await?;
    for entry in list.entries {
        let slice = Object::stored(slices, entry).to_value()?;
        let port = tree::list(&slice, "ports")
            .iter()
            .find(|p| tree::text(p, "name") == port_name);
        let Some(port) = port
            .and_then(|p| tree::int(p, "port"))
            .and_then(|p| u16::try_from(p).ok())
        else {
            continue;
        };
        let ready = tree::list(&slice, "endpoints")
            .iter()
            .find(|e| tree::flag(e, "conditions.ready"));
        if let Some(address) = ready
            .and_then(|e| tree::list(e, "addresses").first())
            .and_then(Value::as_str)
        {
            return dial(address, port).await;
        }
    }
    Err(none().into())
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
