//! Between the ports' types and the contract's.

use k3s_podnetwork::{Node, Outcome};
use k3s_runtime::{NetworkError, PodIps, PortMapping, Protocol, SandboxNetwork};
use k3s_wit_bindings::cni::exports::k3s::cni::network as wit;

pub(super) fn node(from: Node) -> wit::Node {
    wit::Node {
        name: from.name,
        internal_ips: from.internal_ips,
        pod_cidrs: from.pod_cidrs,
        annotations: from.annotations,
    }
}

pub(super) fn outcome(from: wit::Outcome) -> Outcome {
    Outcome {
        annotations: from.annotations,
        subnet_env: from.subnet_env,
    }
}

pub(super) fn sandbox(from: &SandboxNetwork) -> wit::Sandbox {
    let ports = from.port_mappings.iter().filter(|p| p.host_port != 0);
    let annotations = from.annotations.iter();
    wit::Sandbox {
        id: from.id.clone(),
        pod_namespace: from.namespace.clone(),
        pod_name: from.name.clone(),
        pod_uid: from.uid.clone(),
        ports: ports.map(port_mapping).collect(),
        annotations: annotations.map(|(k, v)| (k.clone(), v.clone())).collect(),
    }
}

fn port_mapping(from: &PortMapping) -> wit::PortMapping {
    wit::PortMapping {
        protocol: match from.protocol {
            Protocol::Tcp => wit::Protocol::Tcp,
            Protocol::Udp => wit::Protocol::Udp,
            Protocol::Sctp => wit::Protocol::Sctp,
        },
        container_port: from.container_port,
        host_port: from.host_port,
        host_ip: from.host_ip.map(|ip| ip.to_string()),
    }
}

pub(super) fn addresses(from: &wit::Attachment) -> Result<PodIps, NetworkError> {
    let parse = |text: &String| {
        text.parse().map_err(|_| NetworkError {
            message: format!("the plugin gave {text:?} as an address"),
            retryable: false,
        })
    };
    let addresses: Result<_, _> = from.addresses.iter().map(parse).collect();
    addresses.map(PodIps)
}

/// The plugin's own answer.
pub(super) fn error(error: wit::Error) -> NetworkError {
    let (message, retryable) = match error {
        wit::Error::NotReady(why) | wit::Error::Retry(why) | wit::Error::Exhausted(why) => {
            (why, true)
        }
        wit::Error::Invalid(why) | wit::Error::Other(why) => (why, false),
    };
    NetworkError { message, retryable }
}
