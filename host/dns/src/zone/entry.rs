//! One Service with its endpoints, read from the API's objects.

use std::net::IpAddr;
use std::sync::Arc;

use k3s_client::Obj;
use k3s_objects::{EndpointSlice, Node, Service, endpoint_slice};
use serde::de::DeserializeOwned;

/// What sort of Service it is, for names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ServiceKind {
    /// Has cluster addresses.
    #[default]
    Cluster,
    /// Its name stands for its endpoints.
    Headless,
    /// Its name stands for another name.
    External(String),
}

/// A named port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    /// Empty for the only port.
    pub(crate) name: String,
    /// In lower case: `tcp`, `udp`, `sctp`.
    pub(crate) protocol: &'static str,
    pub(crate) number: u16,
}

/// A ready endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) address: IpAddr,
    pub(crate) hostname: Option<String>,
    /// Shared by all endpoints of a slice.
    pub(crate) ports: Arc<[Port]>,
}

impl Endpoint {
    /// The label that stands for the endpoint: its hostname, or its address with dashes.
    pub(crate) fn label(&self) -> String {
        match &self.hostname {
            Some(hostname) => hostname.clone(),
            None => self.address.to_string().replace(['.', ':'], "-"),
        }
    }

    /// Whether the label is this one, without making it.
    pub(crate) fn is_named(&self, label: &str) -> bool {
        match &self.hostname {
            Some(hostname) => hostname.eq_ignore_ascii_case(label),
            None => self.label() == label,
        }
    }
}

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: ServiceKind,
    pub(crate) cluster_ips: Vec<IpAddr>,
    pub(crate) ports: Vec<Port>,
    pub(crate) endpoints: Vec<Endpoint>,
}

impl Entry {
    /// Every address that leads back to this Service.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        let mut all: Vec<IpAddr> = self.cluster_ips.clone();
        all.extend(self.endpoints.iter().map(|e| e.address));
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Reads a Service and its slices. An object that cannot be read is left out and named in the log.
pub(super) fn read(service: &Obj, slices: &[k3s_client::Object]) -> Option<Entry> {
    let spec = &typed::<Service>(service)?.spec;
    let kind = if spec.is_external_name() {
        let target = spec.external_name.trim_end_matches('.');
        ServiceKind::External(target.to_ascii_lowercase())
    } else if spec.is_headless() {
        ServiceKind::Headless
    } else {
        ServiceKind::Cluster
    };
    let mut endpoints: Vec<Endpoint> = slices.iter().flat_map(|slice| read_slice(slice)).collect();
    endpoints.sort_by_key(|e| e.address);
    endpoints.dedup();
    let ports = spec.ports.iter();
    Some(Entry {
        kind,
        cluster_ips: spec.cluster_addresses(),
        ports: ports
            .filter_map(|p| port(&p.name, &p.protocol, p.port))
            .collect(),
        endpoints,
    })
}

/// The ready endpoints of a slice.
fn read_slice(object: &Obj) -> Vec<Endpoint> {
    let Some(slice) = typed::<EndpointSlice>(object) else {
        return Vec::new();
    };
    let ports = slice.ports.iter();
    let ports: Arc<[Port]> = ports
        .filter_map(|p| port(&p.name, &p.protocol, p.port?))
        .collect();
    let ready = slice.endpoints.iter().filter(|e| e.conditions.is_ready());
    let endpoint = |view: &endpoint_slice::Endpoint| {
        let hostname = view.hostname.as_ref();
        Some(Endpoint {
            address: view.addresses.first()?.parse().ok()?,
            hostname: hostname.filter(|name| !name.is_empty()).cloned(),
            ports: ports.clone(),
        })
    };
    ready.filter_map(endpoint).collect()
}

fn port(name: &str, protocol: &str, number: u16) -> Option<Port> {
    let protocol = match protocol {
        "" | "TCP" => "tcp",
        "UDP" => "udp",
        "SCTP" => "sctp",
        _ => return None,
    };
    Some(Port {
        name: name.to_owned(),
        protocol,
        number,
    })
}

/// A node's internal addresses.
pub(super) fn node_addresses(object: &Obj) -> Vec<IpAddr> {
    let Some(node) = typed::<Node>(object) else {
        return Vec::new();
    };
    let internal = node.addresses("InternalIP");
    internal.filter_map(|text| text.parse().ok()).collect()
}

fn typed<T: DeserializeOwned + Send + Sync + 'static>(object: &Obj) -> Option<&T> {
    let view = object.typed::<T>();
    view.inspect_err(|error| {
        tracing::warn!(object = %object.key(), error = %error.chain(), "object ignored: it cannot be read");
    })
    .ok()
}
