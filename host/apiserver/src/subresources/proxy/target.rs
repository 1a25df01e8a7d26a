//! From the object in a proxy request to the address that is dialled.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_meta::address::special;
use k3s_meta::{LabelSelector, Status};
use k3s_objects::endpoint_slice::{Endpoint, SERVICE_NAME_LABEL};
use k3s_objects::{EndpointSlice, Pod, Service};
use k3s_registry::{ListRequest, Object, Result, Selectors};
use k3s_serve::trust::AnyServerCertificate;
use k3s_serve::{BoxIo, connect};
use rustls::ClientConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::name::{ProxyName, Scheme};
use crate::context::Context;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KUBELET_PORT: &str = "10250";

/// What stands behind the object of a request.
#[derive(Debug)]
pub(super) enum Target {
    /// The kubelet of a node.
    Kubelet(String),
    /// A pod.
    Address { scheme: Scheme, address: SocketAddr },
}

pub(super) async fn find(context: &Context) -> Result<Target> {
    let (resource, name) = (context.info.resource.as_str(), &context.info.name);
    let wanted = ProxyName::parse(name).ok_or_else(|| {
        let kind = resource.trim_end_matches('s');
        Status::bad_request(format!("invalid {kind} request {name:?}"))
    })?;
    match resource {
        "nodes" => node(&wanted),
        "pods" => pod(context, &wanted),
        _ => service(context, &wanted).await,
    }
}

impl Target {
    /// A connection, and the authority that it leads to.
    pub(super) async fn dial(&self, context: &Context) -> Result<(BoxIo, String)> {
        match self {
            Self::Kubelet(node) => context.core.kubelets.open(node).await,
            Self::Address { scheme, address } => {
                let opening = tokio::time::timeout(CONNECT_TIMEOUT, open(*scheme, *address)).await;
                let why = match opening {
                    Ok(Ok(io)) => return Ok((io, address.to_string())),
                    Ok(Err(error)) => chain(&error),
                    Err(_elapsed) => "i/o timeout".to_owned(),
                };
                let text = format!("error trying to reach service: {why}");
                Err(Status::service_unavailable(text).into())
            }
        }
    }
}

/// A node may be named with the port of its kubelet; no other port is reachable.
fn node(wanted: &ProxyName) -> Result<Target> {
    if wanted.scheme == Some(Scheme::Http) || !matches!(wanted.port, "" | KUBELET_PORT) {
        let name = wanted.name;
        let text =
            format!("address not allowed: only the kubelet's port of {name:?} can be reached");
        return Err(Status::bad_request(text).into());
    }
    Ok(Target::Kubelet(wanted.name.to_owned()))
}

fn pod(context: &Context, wanted: &ProxyName) -> Result<Target> {
    let pod: Pod = read(context, "pods", wanted.name)?;
    let scheme = wanted.scheme.unwrap_or_default();
    let port = match wanted.port {
        "" => first_port(&pod).unwrap_or_else(|| scheme.default_port()),
        text => text
            .parse()
            .map_err(|_| Status::bad_request(format!("invalid port {text:?}")))?,
    };
    allowed(scheme, pod.status.addresses().first().copied(), port)
}

fn first_port(pod: &Pod) -> Option<u16> {
    let mut ports = pod
        .spec
        .containers
        .iter()
        .flat_map(|container| &container.ports);
    ports.next().map(|port| port.container_port)
}

/// One ready endpoint of the service that is a pod.
async fn service(context: &Context, wanted: &ProxyName<'_>) -> Result<Target> {
    let service: Service = read(context, "services", wanted.name)?;
    let port_name = port_name(&service, wanted)?;
    let slices = endpoint_slices(context, wanted.name).await?;
    let mut found: Vec<(&Endpoint, u16)> = slices
        .iter()
        .flat_map(|slice| ready(slice, port_name))
        .collect();
    while !found.is_empty() {
        let bound = u64::try_from(found.len()).unwrap_or(u64::MAX);
        let at = usize::try_from(context.registry().random().below(bound)).unwrap_or(0);
        let (endpoint, port) = found.swap_remove(at);
        if let Some(address) = pod_address(context, endpoint) {
            return allowed(wanted.scheme.unwrap_or_default(), Some(address), port);
        }
    }
    let name = &context.info.name;
    let text = format!("no endpoints available for service {name:?}");
    Err(Status::service_unavailable(text).into())
}

/// The name of the port that a request asks for by number or by its name; without either, the unnamed one.
fn port_name<'a>(service: &'a Service, wanted: &ProxyName<'a>) -> Result<&'a str> {
    let Ok(number) = wanted.port.parse::<i64>() else {
        return Ok(wanted.port);
    };
    let mut ports = service.spec.ports.iter();
    let port = ports.find(|port| i64::from(port.port) == number);
    let none = || {
        let name = wanted.name;
        Status::service_unavailable(format!(
            "no service port {number} found for service {name:?}"
        ))
    };
    Ok(&port.ok_or_else(none)?.name)
}

async fn endpoint_slices(context: &Context, service: &str) -> Result<Vec<EndpointSlice>> {
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
        .map(|entry| view(&Object::stored(resource, entry)))
        .collect()
}

/// The ready endpoints of a slice that has the port.
fn ready<'a>(
    slice: &'a EndpointSlice,
    port_name: &'a str,
) -> impl Iterator<Item = (&'a Endpoint, u16)> {
    let mut ports = slice.ports.iter();
    let port = ports
        .find(|port| port.name == port_name)
        .and_then(|port| port.port);
    let endpoints = slice.endpoints.iter();
    let ready = endpoints.filter(|endpoint| endpoint.conditions.is_ready());
    ready.filter_map(move |endpoint| Some((endpoint, port?)))
}

/// The endpoint's address if it is that of the pod it names: whoever writes endpoints must not choose what this
/// server dials.
fn pod_address(context: &Context, endpoint: &Endpoint) -> Option<IpAddr> {
    let target = &endpoint.target_ref;
    if target.namespace != context.info.namespace {
        return None;
    }
    let address = endpoint.addresses.first()?.parse().ok()?;
    let pod: Pod = read(context, "pods", &target.name).ok()?;
    pod.status.addresses().contains(&address).then_some(address)
}

fn allowed(scheme: Scheme, ip: Option<IpAddr>, port: u16) -> Result<Target> {
    let ip = ip.filter(|ip| special(*ip).is_none());
    let ip = ip.ok_or_else(|| Status::bad_request("address not allowed"))?;
    let address = SocketAddr::new(ip.to_canonical(), port);
    Ok(Target::Address { scheme, address })
}

fn read<T: DeserializeOwned>(context: &Context, plural: &str, name: &str) -> Result<T> {
    let registry = context.registry();
    let resource = registry.resource("", "v1", plural)?;
    view(&registry.get(resource, &context.info.namespace, name)?)
}

fn view<T: DeserializeOwned>(object: &Object) -> Result<T> {
    serde_json::from_value(object.to_value()?)
        .map_err(|error| Status::internal(&error.to_string()).into())
}

#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("cannot connect to {address}")]
    Connect {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    #[error("TLS handshake with {address} failed")]
    Handshake {
        address: SocketAddr,
        source: k3s_serve::ServeError,
    },
}

async fn open(scheme: Scheme, address: SocketAddr) -> std::result::Result<BoxIo, OpenError> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|source| OpenError::Connect { address, source })?;
    secured(scheme, address, Box::new(stream)).await
}

/// TLS for `https`. The certificate is not verified: the pod is asked by its address, which no authority
/// vouches for.
async fn secured(
    scheme: Scheme,
    address: SocketAddr,
    io: BoxIo,
) -> std::result::Result<BoxIo, OpenError> {
    if scheme == Scheme::Http {
        return Ok(io);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServerCertificate))
        .with_no_client_auth();
    let name = ServerName::IpAddress(address.ip().into());
    let io = connect::tls(io, name, Arc::new(config)).await;
    io.map_err(|source| OpenError::Handshake { address, source })
}

#[cfg(test)]
mod tests {
    use k3s_lifecycle::Tasks;
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn address(target: Result<Target>) -> String {
        match target {
            Ok(Target::Address { address, .. }) => address.to_string(),
            Ok(Target::Kubelet(node)) => node,
            Err(error) => error.into_status().message,
        }
    }

    #[test]
    fn only_addresses_of_endpoints_are_dialled() {
        for (ip, expected) in [
            ("10.42.0.5", "10.42.0.5:80"),
            ("::ffff:10.42.0.5", "10.42.0.5:80"),
            ("fd00::5", "[fd00::5]:80"),
            ("127.0.0.1", "address not allowed"),
            ("::ffff:127.0.0.1", "address not allowed"),
            ("::ffff:7f00:1", "address not allowed"),
            ("::ffff:169.254.169.254", "address not allowed"),
            ("::", "address not allowed"),
        ] {
            let target = allowed(Scheme::Http, ip.parse().ok(), 80);
            assert_eq!(address(target), expected, "{ip}");
        }
        assert_eq!(
            address(allowed(Scheme::Http, None, 80)),
            "address not allowed"
        );
    }

    #[test]
    fn a_node_is_reached_at_its_kubelet_only() {
        for (name, expected) in [
            ("n1", "n1"),
            ("n1:10250", "n1"),
            ("https:n1:10250", "n1"),
            (
                "n1:22",
                "address not allowed: only the kubelet's port of \"n1\" can be reached",
            ),
            (
                "http:n1:10250",
                "address not allowed: only the kubelet's port of \"n1\" can be reached",
            ),
        ] {
            assert_eq!(address(node(&ProxyName::parse(name).unwrap())), expected);
        }
    }

    #[test]
    fn a_port_of_a_service_is_found_by_number_or_name() {
        let ports = json!([{"name": "web", "port": 80}, {"name": "tls", "port": 443}]);
        let service = json!({"spec": {"ports": ports}});
        let service: Service = serde_json::from_value(service).unwrap();
        for (wanted, expected) in [
            ("s:443", "tls"),
            ("s:web", "web"),
            ("s", ""),
            ("s:81", "no service port 81 found for service \"s\""),
        ] {
            let found = port_name(&service, &ProxyName::parse(wanted).unwrap())
                .map_or_else(|error| error.into_status().message, str::to_owned);
            assert_eq!(found, expected, "{wanted}");
        }
    }

    #[test]
    fn endpoints_of_unknown_readiness_count_as_ready() {
        let endpoints = json!([{"addresses": ["10.0.0.1"]},
            {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
            {"addresses": ["10.0.0.3"], "conditions": {"ready": true}}]);
        let slice = json!({"endpoints": endpoints, "ports": [{"name": "web", "port": 8080}]});
        let slice: EndpointSlice = serde_json::from_value(slice).unwrap();
        let found: Vec<(&str, u16)> = ready(&slice, "web")
            .map(|(endpoint, port)| (endpoint.addresses[0].as_str(), port))
            .collect();
        assert_eq!(found, [("10.0.0.1", 8080), ("10.0.0.3", 8080)]);
        assert_eq!(ready(&slice, "").count(), 0);
    }

    #[tokio::test]
    async fn https_is_spoken_without_asking_who_vouches_for_the_pod() {
        let cert = rcgen::generate_simple_self_signed(["pod".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(cert.signing_key.serialize_der());
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.cert.der().clone()], key.unwrap())
            .unwrap();
        let (client, server) = tokio::io::duplex(1 << 16);
        let tasks = Tasks::root("test");
        tasks.spawn("pod", async move {
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            let mut io = acceptor.accept(server).await.unwrap();
            io.write_all(b"hello").await.unwrap();
            io.shutdown().await.unwrap();
        });
        let address = "10.42.0.5:443".parse().unwrap();
        let mut io = secured(Scheme::Https, address, Box::new(client))
            .await
            .unwrap();
        let mut text = String::new();
        io.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
    }
}
