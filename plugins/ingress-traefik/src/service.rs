//! From a Service and its port to a backend.

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::ingress::Key;

use crate::annotations;
use crate::crd::By;
use crate::kinds;
use crate::objects::{PortReference, Service, ServicePort};
use crate::view::View;
use crate::wit::{Backend, Reference, Scheme};

/// The backend of a Service's port, with weight 1 and the settings of the Service's annotations. The error
/// is for the author of the object that named the Service.
pub(crate) fn backend(
    view: &View<'_>,
    namespace: &str,
    name: &str,
    port: &PortReference,
) -> Result<Backend, Sentence> {
    let service = read(view, namespace, name)?;
    let is_external = service.spec.r#type == "ExternalName";
    if is_external && !view.config.allow_external_name_services {
        let why = "is of type ExternalName, which is not allowed here";
        return Err(format!("service {namespace}/{name} {why}").into());
    }
    let port = backend_port(&service, port, is_external)
        .ok_or_else(|| format!("service {namespace}/{name} has no port {}", describe(port)))?;
    let settings = annotations::service(&service.metadata.annotations)
        .map_err(|error| format!("service {namespace}/{name}: {error}"))?;
    let transport = settings.transport.as_ref();
    let transport =
        transport.map(|named| crate::crd::transport(view, (namespace, By::Ingress), named));
    Ok(Backend {
        service: Reference {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        },
        external: is_external.then_some((service.spec.external_name, port.port)),
        scheme: settings.scheme.unwrap_or_else(|| scheme(&port)),
        port_number: port.port,
        port: port.name,
        weight: 1,
        pass_host_header: settings.pass_host_header,
        sticky: settings.sticky,
        transport: transport.transpose()?,
    })
}

fn read(view: &View<'_>, namespace: &str, name: &str) -> Result<Service, Sentence> {
    let what = || format!("service {namespace}/{name}");
    match view.get(&Key::new(&kinds::SERVICE, namespace, name)) {
        Some(Ok(service)) => Ok(service),
        Some(Err(error)) => Err(format!("{} cannot be read: {error}", what()).into()),
        None => Err(format!("{} does not exist", what()).into()),
    }
}

/// The port of a Service. One of type `ExternalName` need not list its ports.
fn backend_port(
    service: &Service,
    wanted: &PortReference,
    is_external: bool,
) -> Option<ServicePort> {
    let unlisted = || ServicePort {
        port: wanted.number,
        ..ServicePort::default()
    };
    let found = find_port(service, wanted);
    found.or_else(|| (is_external && wanted.number > 0).then(unlisted))
}

fn find_port(service: &Service, wanted: &PortReference) -> Option<ServicePort> {
    let fits = |port: &&ServicePort| {
        let same = if wanted.name.is_empty() {
            port.port == wanted.number
        } else {
            port.name == wanted.name
        };
        same && matches!(port.protocol.as_str(), "" | "TCP")
    };
    service
        .spec
        .ports
        .iter()
        .find(fits)
        .map(|port| ServicePort {
            name: port.name.clone(),
            port: port.port,
            protocol: String::new(),
            app_protocol: port.app_protocol.clone(),
        })
}

/// As Traefik guesses: by `appProtocol`, then by number and name.
fn scheme(port: &ServicePort) -> Scheme {
    match port.app_protocol.as_str() {
        "kubernetes.io/h2c" | "h2c" => Scheme::H2c,
        "https" | "kubernetes.io/wss" => Scheme::Https,
        "http" | "kubernetes.io/ws" => Scheme::Http,
        _ if port.port == 443 || port.name.starts_with("https") => Scheme::Https,
        _ => Scheme::Http,
    }
}

fn describe(port: &PortReference) -> String {
    if port.name.is_empty() {
        port.number.to_string()
    } else {
        port.name.clone()
    }
}
