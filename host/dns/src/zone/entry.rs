//! One Service with its endpoints, read from the API's objects.

use std::net::IpAddr;
use std::sync::Arc;

use k3s_client::Obj;
use serde::Deserialize;

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

#[derive(Deserialize, Default)]
#[serde(default)]
struct ServiceObject {
    spec: ServiceSpec,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ServiceSpec {
    #[serde(rename = "type")]
    service_type: String,
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Vec<String>,
    external_name: String,
    ports: Vec<PortSpec>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PortSpec {
    name: Option<String>,
    protocol: Option<String>,
    port: Option<u16>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SliceObject {
    endpoints: Vec<SliceEndpoint>,
    ports: Vec<PortSpec>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SliceEndpoint {
    addresses: Vec<String>,
    conditions: Conditions,
    hostname: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
}

/// Reads a Service and its slices. An object that cannot be read is left out and named in the log.
pub(super) fn read(service: &Obj, slices: &[k3s_client::Object]) -> Option<Entry> {
    let ServiceObject { spec } = decode(service)?;
    let kind = match (spec.service_type.as_str(), spec.cluster_ip.as_str()) {
        ("ExternalName", _) => ServiceKind::External(
            spec.external_name
                .trim_end_matches('.')
                .to_ascii_lowercase(),
        ),
        (_, "None") => ServiceKind::Headless,
        _ => ServiceKind::Cluster,
    };
    let mut cluster_ips: Vec<IpAddr> = spec
        .cluster_ips
        .iter()
        .filter_map(|ip| ip.parse().ok())
        .collect();
    if cluster_ips.is_empty() {
        cluster_ips.extend(spec.cluster_ip.parse::<IpAddr>());
    }
    let mut endpoints: Vec<Endpoint> = slices.iter().flat_map(|slice| read_slice(slice)).collect();
    endpoints.sort_by_key(|e| e.address);
    endpoints.dedup();
    Some(Entry {
        kind,
        cluster_ips,
        ports: ports(spec.ports),
        endpoints,
    })
}

fn read_slice(object: &Obj) -> Vec<Endpoint> {
    let Some(slice) = decode::<SliceObject>(object) else {
        return Vec::new();
    };
    let ports: Arc<[Port]> = ports(slice.ports).into();
    let ready = slice
        .endpoints
        .into_iter()
        .filter(|e| e.conditions.ready.unwrap_or(true));
    let endpoint = |e: SliceEndpoint| {
        let address = e.addresses.first()?.parse().ok()?;
        Some(Endpoint {
            address,
            hostname: e.hostname.filter(|h| !h.is_empty()),
            ports: ports.clone(),
        })
    };
    ready.filter_map(endpoint).collect()
}

fn ports(specs: Vec<PortSpec>) -> Vec<Port> {
    let port = |spec: PortSpec| {
        let protocol = match spec.protocol.as_deref() {
            None | Some("" | "TCP") => "tcp",
            Some("UDP") => "udp",
            Some("SCTP") => "sctp",
            Some(_) => return None,
        };
        Some(Port {
            name: spec.name.unwrap_or_default(),
            protocol,
            number: spec.port?,
        })
    };
    specs.into_iter().filter_map(port).collect()
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeObject {
    status: NodeStatus,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeStatus {
    addresses: Vec<NodeAddress>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeAddress {
    #[serde(rename = "type")]
    address_type: String,
    address: String,
}

/// A node's internal addresses.
pub(super) fn node_addresses(node: &Obj) -> Vec<IpAddr> {
    let Some(node) = decode::<NodeObject>(node) else {
        return Vec::new();
    };
    let internal = node
        .status
        .addresses
        .into_iter()
        .filter(|a| a.address_type == "InternalIP");
    internal.filter_map(|a| a.address.parse().ok()).collect()
}

fn decode<T: for<'de> Deserialize<'de>>(object: &Obj) -> Option<T> {
    let result = object.decode();
    if let Err(error) = &result {
        tracing::warn!(object = %object.key(), %error, "left out, since it cannot be read");
    }
    result.ok()
}
