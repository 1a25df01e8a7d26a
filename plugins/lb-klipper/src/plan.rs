//! Who gets which port of which node. Pure: the same objects give the same assignments.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::config::Reserved;
use crate::model::{Node, Port, Service};
use crate::pool::Pool;

/// Reason of a Service that cannot have its ports.
pub(crate) const PORT_CONFLICT: &str = "PortConflict";
/// Reason of a Service that no node may answer for.
pub(crate) const NO_NODES: &str = "NoNodesAvailable";

/// What a Service gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) claimed: bool,
    /// Addresses to show.
    pub(crate) ingress: Vec<IpAddr>,
    /// Node → addresses of it on which the Service is answered.
    pub(crate) forwards: Vec<(String, Vec<IpAddr>)>,
    /// Reason and message.
    pub(crate) problems: Vec<(&'static str, String)>,
}

/// What is known of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) nodes: BTreeMap<String, Node>,
    /// Service → nodes with a ready endpoint.
    pub(crate) ready: BTreeMap<String, BTreeSet<String>>,
}

/// Who has a port of a node.
type Holders<'a> = BTreeMap<(&'a str, Port), &'a str>;

/// Every Service's assignment, by key.
pub(crate) fn assign<'a>(
    cluster: &'a Cluster,
    reserved: &'a [Reserved],
) -> BTreeMap<&'a str, Assignment> {
    let pool = Pool::of(cluster.nodes.values());
    let mut claimed: Vec<&Service> = cluster
        .services
        .values()
        .filter(|s| s.claimed && !s.deleting)
        .collect();
    // Who is served already stays so, then the older goes first: nothing moves without need.
    claimed.sort_by(|a, b| {
        (!a.has_ingress, &a.created, &a.key).cmp(&(!b.has_ingress, &b.created, &b.key))
    });
    let mut holders = Holders::new();
    let mut assignments: BTreeMap<&str, Assignment> = cluster
        .services
        .iter()
        .map(|(key, s)| (key.as_str(), nothing(s)))
        .collect();
    for service in claimed {
        let nodes = pool.of_service(service, cluster.ready.get(&service.key));
        assignments.insert(&service.key, one(service, &nodes, reserved, &mut holders));
    }
    assignments
}

fn nothing(service: &Service) -> Assignment {
    Assignment {
        claimed: service.claimed,
        ..Assignment::default()
    }
}

/// One Service: every node that has all of its ports free.
fn one<'a>(
    service: &'a Service,
    nodes: &[&'a Node],
    reserved: &'a [Reserved],
    holders: &mut Holders<'a>,
) -> Assignment {
    let mut assignment = Assignment {
        claimed: true,
        ..Assignment::default()
    };
    let mut conflicts: BTreeMap<(Port, &str), Vec<&str>> = BTreeMap::new();
    let mut answering: Vec<&Node> = Vec::new();
    for node in nodes {
        let taken: Vec<(Port, &str)> = service
            .ports
            .iter()
            .filter_map(|port| Some((*port, taken(&node.name, *port, reserved, holders)?)))
            .collect();
        if taken.is_empty() {
            holders.extend(
                service
                    .ports
                    .iter()
                    .map(|port| ((node.name.as_str(), *port), service.key.as_str())),
            );
            answering.push(node);
        }
        for conflict in taken {
            conflicts.entry(conflict).or_default().push(&node.name);
        }
    }
    for ((port, holder), nodes) in conflicts {
        assignment
            .problems
            .push((PORT_CONFLICT, conflict(port, holder, &nodes)));
    }
    if nodes.is_empty() && !service.local {
        assignment.problems.push((
            NO_NODES,
            "no node is ready to answer for this Service".to_owned(),
        ));
    }
    assignment.ingress = ingress(service, &answering);
    assignment.forwards = answering
        .iter()
        .filter_map(|node| forward(service, node))
        .collect();
    assignment
}

fn taken<'a>(
    node: &'a str,
    port: Port,
    reserved: &'a [Reserved],
    holders: &Holders<'a>,
) -> Option<&'a str> {
    let other = holders.get(&(node, port)).copied();
    other.or_else(|| {
        reserved
            .iter()
            .find(|r| (r.protocol, r.port) == port)
            .map(|r| r.by.as_str())
    })
}

fn conflict((protocol, port): Port, holder: &str, nodes: &[&str]) -> String {
    // Keys of Services have a slash, what reserved ports are kept for does not.
    let holder = if holder.contains('/') {
        format!("Service {holder}")
    } else {
        holder.to_owned()
    };
    let (protocol, nodes) = (protocol.name(), shown(nodes));
    format!("port {port}/{protocol} is used by {holder} on {nodes}")
}

/// A few names, and how many more.
fn shown(nodes: &[&str]) -> String {
    const MOST: usize = 3;
    let first = nodes
        .iter()
        .take(MOST)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    match nodes.len().saturating_sub(MOST) {
        0 => format!("node {first}"),
        more => format!("nodes {first} and {more} more"),
    }
}

/// External addresses of the nodes, or internal ones where no node has an external one; by the
/// Service's order of families.
fn ingress(service: &Service, nodes: &[&Node]) -> Vec<IpAddr> {
    let collect = |of: fn(&Node) -> &Vec<IpAddr>| -> BTreeSet<IpAddr> {
        nodes
            .iter()
            .flat_map(|n| of(n))
            .copied()
            .filter(|a| wanted(service, *a))
            .collect()
    };
    let external = collect(|n| &n.external);
    let all = if external.is_empty() {
        collect(|n| &n.internal)
    } else {
        external
    };
    let rank = |a: &IpAddr| {
        service
            .families
            .iter()
            .position(|f| f.has(*a))
            .unwrap_or(usize::MAX)
    };
    let mut all: Vec<IpAddr> = all.into_iter().collect();
    all.sort_by_key(|a| (rank(a), *a));
    all
}

/// A node answers on all of its addresses: what came for an external one may arrive at an internal
/// one, when a router outside translates.
fn forward(service: &Service, node: &Node) -> Option<(String, Vec<IpAddr>)> {
    let all: BTreeSet<IpAddr> = node
        .internal
        .iter()
        .chain(&node.external)
        .copied()
        .filter(|a| wanted(service, *a))
        .collect();
    (!all.is_empty()).then(|| (node.name.clone(), all.into_iter().collect()))
}

fn wanted(service: &Service, address: IpAddr) -> bool {
    service.families.is_empty() || service.families.iter().any(|f| f.has(address))
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::model::{Family, Protocol};

    pub(crate) fn node(name: &str, last: u8) -> Node {
        Node {
            name: name.into(),
            labels: BTreeMap::new(),
            ready: true,
            internal: vec![[192, 0, 2, last].into()],
            external: Vec::new(),
        }
    }

    pub(crate) fn service(name: &str, ports: &[u16]) -> Service {
        Service {
            key: format!("default/{name}"),
            created: "2026-01-01T00:00:00Z".into(),
            claimed: true,
            deleting: false,
            labels: BTreeMap::new(),
            ports: ports.iter().map(|p| (Protocol::Tcp, *p)).collect(),
            families: vec![Family::V4],
            local: false,
            has_ingress: false,
        }
    }

    pub(crate) fn cluster(services: &[Service], nodes: &[Node]) -> Cluster {
        Cluster {
            services: services
                .iter()
                .map(|s| (s.key.clone(), s.clone()))
                .collect(),
            nodes: nodes.iter().map(|n| (n.name.clone(), n.clone())).collect(),
            ready: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
