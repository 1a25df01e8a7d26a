//! From a Service and its port to a backend.

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::ingress::Key;

use crate::annotations;
use crate::kinds;
use crate::objects::{PortReference, Service, ServicePort};
use crate::view::View;
use crate::wit::{Backend, Reference, Scheme};

/// A backend of weight 1, with what the Service's annotations ask for. The error is for the author of
/// the object that named the Service.
pub(crate) fn backend(
    view: &View<'_>,
    namespace: &str,
    name: &str,
    port: &PortReference,
) -> Result<Backend, Sentence> {
    let service: Service = match view.get(&Key::new(&kinds::SERVICE, namespace, name)) {
        Some(Ok(service)) => service,
        Some(Err(error)) => {
            return Err(format!("service {namespace}/{name} cannot be read: {error}").into());
        }
        None => return Err(format!("service {namespace}/{name} does not exist").into()),
    };
    let external = service.spec.r#type == "ExternalName";
    if external && !view.config.allow_external_name_services {
        return Err(format!(
            "service {namespace}/{name} is of type ExternalName, which is not allowed here"
        )
        .into());
    }
    let found = find_port(&service, port);
    let found = match (found, external) {
        (Some(found), _) => found,
        // Such a Service need not name its ports.
        (None, true) if port.number > 0 => ServicePort {
            port: port.number,
            ..ServicePort::default()
        },
        (None, _) => {
            return Err(
                format!("service {namespace}/{name} has no port {}", describe(port)).into(),
            );
        }
    };
    let settings = annotations::service(&service.metadata.annotations)
        .map_err(|error| format!("service {namespace}/{name}: {error}"))?;
    let transport = match &settings.transport {
        Some(name) => Some(crate::crd::transport(view, namespace, name)?),
        None => None,
    };
    Ok(Backend {
        service: Reference {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        },
        external: external.then(|| (service.spec.external_name.clone(), found.port)),
        scheme: settings.scheme.unwrap_or_else(|| scheme(&found)),
        port_number: found.port,
        port: found.name,
        weight: 1,
        pass_host_header: settings.pass_host_header,
        sticky: settings.sticky,
        transport,
    })
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
