//! Services and nodes, reduced to what the decision needs.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

/// The mask of [`Service`].
pub(crate) const SERVICE_FIELDS: &[&str] = &[
    "metadata.creationTimestamp",
    "metadata.deletionTimestamp",
    "metadata.labels",
    "spec.type",
    "spec.loadBalancerClass",
    "spec.externalTrafficPolicy",
    "spec.ipFamilies",
    "spec.ports.protocol",
    "spec.ports.port",
    "status.loadBalancer.ingress.ip",
];
/// The mask of [`Node`].
pub(crate) const NODE_FIELDS: &[&str] = &[
    "metadata.labels",
    "metadata.deletionTimestamp",
    "status.addresses",
    "status.conditions.type",
    "status.conditions.status",
];

/// A transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) enum Protocol {
    #[default]
    #[serde(rename = "TCP")]
    Tcp,
    #[serde(rename = "UDP")]
    Udp,
    #[serde(rename = "SCTP")]
    Sctp,
}

impl Protocol {
    /// As Kubernetes writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

/// A port as callers see it.
pub(crate) type Port = (Protocol, u16);

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "ServiceObject")]
pub(crate) struct Service {
    /// `namespace/name`.
    pub(crate) key: String,
    /// RFC 3339, which sorts by time.
    pub(crate) created: String,
    /// A LoadBalancer without a class.
    pub(crate) claimed: bool,
    /// It is being deleted, so it gets nothing.
    pub(crate) deleting: bool,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) ports: Vec<Port>,
    /// In order of preference.
    pub(crate) families: Vec<Family>,
    /// `externalTrafficPolicy: Local`.
    pub(crate) local: bool,
    /// Its status already has addresses.
    pub(crate) has_ingress: bool,
}

/// Address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }
}

/// An address and its text, which every assignment repeats.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeAddress {
    pub(crate) ip: IpAddr,
    pub(crate) text: String,
}

impl From<IpAddr> for NodeAddress {
    fn from(ip: IpAddr) -> Self {
        let text = ip.to_string();
        Self { ip, text }
    }
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "NodeObject")]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) ready: bool,
    pub(crate) internal: Vec<NodeAddress>,
    pub(crate) external: Vec<NodeAddress>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ServiceObject {
    metadata: Metadata,
    spec: ServiceSpec,
    status: ServiceStatus,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    name: String,
    namespace: String,
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ServiceSpec {
    #[serde(rename = "type")]
    service_type: String,
    load_balancer_class: Option<String>,
    external_traffic_policy: String,
    ip_families: Vec<String>,
    ports: Vec<PortSpec>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PortSpec {
    protocol: Protocol,
    port: u16,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ServiceStatus {
    load_balancer: LoadBalancer,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LoadBalancer {
    ingress: Vec<Ingress>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ingress {
    ip: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeObject {
    metadata: Metadata,
    status: NodeStatus,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeStatus {
    addresses: Vec<Address>,
    conditions: Vec<Condition>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Address {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl From<ServiceObject> for Service {
    fn from(object: ServiceObject) -> Self {
        let ServiceObject {
            metadata,
            spec,
            status,
        } = object;
        let is_load_balancer = spec.service_type == "LoadBalancer";
        let family = |name: &String| match name.as_str() {
            "IPv4" => Some(Family::V4),
            "IPv6" => Some(Family::V6),
            _ => None,
        };
        let mut ingress = status.load_balancer.ingress.iter();
        Self {
            key: format!("{}/{}", metadata.namespace, metadata.name),
            created: metadata.creation_timestamp.unwrap_or_default(),
            claimed: is_load_balancer && spec.load_balancer_class.is_none(),
            deleting: metadata.deletion_timestamp.is_some(),
            labels: metadata.labels.unwrap_or_default(),
            ports: spec.ports.iter().map(|p| (p.protocol, p.port)).collect(),
            families: spec.ip_families.iter().filter_map(family).collect(),
            local: spec.external_traffic_policy == "Local",
            has_ingress: ingress.any(|ingress| !ingress.ip.is_empty()),
        }
    }
}

impl From<NodeObject> for Node {
    fn from(NodeObject { metadata, status }: NodeObject) -> Self {
        let addresses = |kind: &str| {
            let of_kind = status.addresses.iter().filter(|a| a.kind == kind);
            let parsed = of_kind.filter_map(|a| a.address.parse::<IpAddr>().ok());
            parsed.map(NodeAddress::from).collect()
        };
        let mut conditions = status.conditions.iter();
        let is_ready = conditions.any(|c| c.kind == "Ready" && c.status == "True");
        Self {
            internal: addresses("InternalIP"),
            external: addresses("ExternalIP"),
            ready: is_ready && metadata.deletion_timestamp.is_none(),
            name: metadata.name,
            labels: metadata.labels.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(spec: &str) -> bool {
        let json = format!(r#"{{"metadata": {{"name": "s", "namespace": "n"}}, "spec": {spec}}}"#);
        serde_json::from_str::<Service>(&json).unwrap().claimed
    }

    #[test]
    fn only_load_balancers_without_a_class_are_claimed() {
        assert!(claimed(r#"{"type": "LoadBalancer"}"#));
        assert!(!claimed(r#"{"type": "NodePort"}"#));
        assert!(!claimed(
            r#"{"type": "LoadBalancer", "loadBalancerClass": "example.com/other"}"#
        ));
    }

    #[test]
    fn nodes_are_ready_by_their_condition() {
        let node = |status: &str| {
            let json = format!(
                r#"{{"metadata": {{"name": "n"}}, "status": {{"conditions": [{{"type": "Ready", "status": "{status}"}}],
                "addresses": [{{"type": "InternalIP", "address": "192.0.2.1"}}, {{"type": "Hostname", "address": "n"}}]}}}}"#
            );
            serde_json::from_str::<Node>(&json).unwrap()
        };
        assert!(node("True").ready);
        assert!(!node("Unknown").ready);
        assert_eq!(
            node("True").internal,
            [NodeAddress::from("192.0.2.1".parse::<IpAddr>().unwrap())]
        );
    }
}
