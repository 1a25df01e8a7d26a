//! A service load balancer to start from: all ready nodes answer for every Service of type LoadBalancer,
//! each on its own addresses; each port of a node belongs to one Service.
//!
//! The plugin is a pure function: `assign` gets the cluster and returns which nodes answer for which
//! Services. The host writes statuses, finalizers and Events, and makes the nodes forward
//! (`k3s/wit/load-balancer-0.2/load-balancer.wit`).

use std::collections::BTreeMap;

use k3s_plugin_sdk::load_balancer::{
    Assignment, Cluster, Forward, Ingress, IpMode, LoadBalancer, Problem,
};
use k3s_plugin_sdk::serde::Deserialize;
use k3s_plugin_sdk::{Sentence, export_load_balancer};

#[derive(Debug, Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", deny_unknown_fields)]
struct Config {
    /// Ports of the nodes on which something else listens; the server sets its own.
    #[serde(default)]
    reserved: Vec<Reserved>,
}

#[derive(Debug, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", deny_unknown_fields)]
struct Reserved {
    #[serde(default = "tcp")]
    protocol: String,
    port: u16,
    /// What listens there, for messages.
    by: String,
}

fn tcp() -> String {
    "TCP".to_owned()
}

#[derive(Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", rename_all = "camelCase")]
struct Service {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", rename_all = "camelCase")]
struct Metadata {
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", default, rename_all = "camelCase")]
struct Spec {
    r#type: String,
    load_balancer_class: Option<String>,
    external_traffic_policy: String,
    ports: Vec<Port>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde")]
struct Port {
    #[serde(default = "tcp")]
    protocol: String,
    port: u16,
}

#[derive(Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde")]
struct Node {
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", default)]
struct Status {
    addresses: Vec<Address>,
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde")]
struct Address {
    r#type: String,
    address: String,
}

#[derive(Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde")]
struct Condition {
    r#type: String,
    status: String,
}

impl Node {
    fn is_ready(&self) -> bool {
        self.status
            .conditions
            .iter()
            .any(|c| c.r#type == "Ready" && c.status == "True")
    }

    fn addresses(&self) -> Vec<String> {
        let own = self
            .status
            .addresses
            .iter()
            .filter(|a| matches!(a.r#type.as_str(), "InternalIP" | "ExternalIP"));
        own.map(|a| a.address.clone()).collect()
    }
}

struct MyBalancer {
    config: Config,
}

impl LoadBalancer for MyBalancer {
    type Config = Config;
    type Service = Service;
    type Node = Node;

    const NAME: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SERVICE_FIELDS: &'static [&'static str] = &[
        "metadata.creationTimestamp",
        "metadata.deletionTimestamp",
        "spec.type",
        "spec.loadBalancerClass",
        "spec.externalTrafficPolicy",
        "spec.ports.protocol",
        "spec.ports.port",
    ];
    const NODE_FIELDS: &'static [&'static str] = &[
        "status.addresses",
        "status.conditions.type",
        "status.conditions.status",
    ];

    fn new(config: Config) -> Result<Self, Sentence> {
        Ok(Self { config })
    }

    /// The oldest Service gets a port. The order must not depend on the order of arrival: by time, then by
    /// name.
    fn assign(&self, cluster: &Cluster<Service, Node>) -> Vec<Assignment> {
        let mut services: Vec<(&String, &Service)> = cluster.services.iter().collect();
        services.sort_by_key(|(key, service)| (&service.metadata.creation_timestamp, *key));
        let reserved = self.config.reserved.iter().map(|r| {
            let port = Port {
                protocol: r.protocol.clone(),
                port: r.port,
            };
            (port, r.by.clone())
        });
        let mut holders: BTreeMap<Port, String> = reserved.collect();
        services
            .into_iter()
            .map(|(key, service)| assign_one(cluster, key, service, &mut holders))
            .collect()
    }
}

/// Assigns one Service, with the ports that are left.
fn assign_one(
    cluster: &Cluster<Service, Node>,
    key: &str,
    service: &Service,
    holders: &mut BTreeMap<Port, String>,
) -> Assignment {
    let mut assignment = Assignment {
        // A Service with a class is another load balancer's.
        claimed: service.spec.r#type == "LoadBalancer"
            && service.spec.load_balancer_class.is_none(),
        ..Assignment::nothing(key)
    };
    // A Service that is being deleted stays claimed and gets nothing; the host then removes its finalizer.
    if !assignment.claimed || service.metadata.deletion_timestamp.is_some() {
        return assignment;
    }
    let taken = |port: &Port| {
        let holder = holders.get(port)?;
        let message = format!("port {}/{} is used by {holder}", port.port, port.protocol);
        Some(Problem {
            reason: "PortConflict".to_owned(),
            message,
        })
    };
    assignment.problems = service.spec.ports.iter().filter_map(taken).collect();
    if !assignment.problems.is_empty() {
        return assignment;
    }
    holders.extend(
        service
            .spec
            .ports
            .iter()
            .map(|port| (port.clone(), format!("Service {key}"))),
    );
    // `externalTrafficPolicy: Local` allows no further hop, so only nodes with an endpoint answer.
    let local = service.spec.external_traffic_policy == "Local";
    let has_endpoint = |node: &String| {
        cluster
            .ready
            .get(key)
            .is_some_and(|nodes| nodes.contains(node))
    };
    let answering = cluster
        .nodes
        .iter()
        .filter(|(name, node)| node.is_ready() && (!local || has_endpoint(name)));
    for (name, node) in answering {
        let addresses = node.addresses();
        assignment
            .ingress
            .extend(addresses.iter().map(|ip| Ingress {
                ip: ip.clone(),
                mode: IpMode::Vip,
            }));
        assignment.forwards.push(Forward {
            node: name.clone(),
            addresses,
        });
    }
    assignment
}

export_load_balancer!(MyBalancer);
