//! Which Service gets which port of which node. Pure: the same objects lead to the same assignments.

use std::collections::{BTreeMap, BTreeSet};

use k3s_plugin_sdk::load_balancer::{Assignment, Forward, Ingress, IpMode, Problem};

use crate::config::Reserved;
use crate::model::{Node, NodeAddress, Port, Service};
use crate::pool::Pool;

/// Reason of a Service that cannot have its ports.
pub(crate) const PORT_CONFLICT: &str = "PortConflict";
/// Reason of a Service that no node may answer for.
pub(crate) const NO_NODES: &str = "NoNodesAvailable";

/// The cluster as the SDK keeps it.
pub(crate) type Cluster = k3s_plugin_sdk::load_balancer::Cluster<Service, Node>;

/// Who has a port of a node.
type Holders<'a> = BTreeMap<(&'a str, Port), &'a str>;

/// Every Service's assignment, by key.
pub(crate) fn assign<'a>(
    cluster: &'a Cluster,
    reserved: &'a [Reserved],
) -> BTreeMap<&'a str, Assignment> {
    let pool = Pool::of(cluster.nodes.values());
    let services = cluster.services.values();
    let mut claimed: Vec<&Service> = services.filter(|s| s.claimed && !s.deleting).collect();
    // Served Services keep their ports, then the oldest comes first: nothing moves without need.
    claimed.sort_by_key(|service| (!service.has_ingress, &service.created, &service.key));
    let mut holders = Holders::new();
    let mut assignments: BTreeMap<&str, Assignment> = BTreeMap::new();
    for service in claimed {
        let nodes = pool.of_service(service, cluster.ready.get(&service.key));
        let assignment = assign_one(service, &nodes, reserved, &mut holders);
        assignments.insert(&service.key, assignment);
    }
    for (key, service) in &cluster.services {
        let nothing = || Assignment {
            claimed: service.claimed,
            ..Assignment::nothing(key)
        };
        assignments.entry(key).or_insert_with(nothing);
    }
    assignments
}

/// Assigns one Service to every node that has all of its ports free.
fn assign_one<'a>(
    service: &'a Service,
    nodes: &[&'a Node],
    reserved: &'a [Reserved],
    holders: &mut Holders<'a>,
) -> Assignment {
    let mut conflicts: BTreeMap<(Port, &str), Vec<&str>> = BTreeMap::new();
    let mut answering: Vec<&Node> = Vec::new();
    for node in nodes {
        let name = node.name.as_str();
        let holder = |port: &Port| Some((*port, holder_of(name, *port, reserved, holders)?));
        let taken: Vec<(Port, &str)> = service.ports.iter().filter_map(holder).collect();
        if taken.is_empty() {
            let ports = service.ports.iter();
            holders.extend(ports.map(|port| ((name, *port), service.key.as_str())));
            answering.push(node);
        }
        for conflict in taken {
            conflicts.entry(conflict).or_default().push(name);
        }
    }
    let mut problems: Vec<Problem> = conflicts
        .into_iter()
        .map(|((port, holder), nodes)| problem(PORT_CONFLICT, conflict(port, holder, &nodes)))
        .collect();
    if nodes.is_empty() && !service.local {
        let message = "no node is ready to answer for this Service";
        problems.push(problem(NO_NODES, message.to_owned()));
    }
    let forwards = answering.iter().filter_map(|node| forward(service, node));
    Assignment {
        service: service.key.clone(),
        claimed: true,
        ingress: ingress(service, &answering),
        forwards: forwards.collect(),
        problems,
    }
}

fn problem(reason: &str, message: String) -> Problem {
    let reason = reason.to_owned();
    Problem { reason, message }
}

/// What has a port of a node: a Service, or the owner of a reserved port.
fn holder_of<'a>(
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
    // Keys of Services have a slash; owners of reserved ports do not.
    let holder = if holder.contains('/') {
        format!("Service {holder}")
    } else {
        holder.to_owned()
    };
    let (protocol, nodes) = (protocol.name(), list_nodes(nodes));
    format!("port {port}/{protocol} is used by {holder} on {nodes}")
}

/// A few names, and how many more.
fn list_nodes(nodes: &[&str]) -> String {
    const MOST: usize = 3;
    let first: Vec<&str> = nodes.iter().take(MOST).copied().collect();
    let first = first.join(", ");
    match nodes.len().saturating_sub(MOST) {
        0 => format!("node {first}"),
        more => format!("nodes {first} and {more} more"),
    }
}

/// External addresses of the nodes, or internal ones if no node has an external one; in the Service's order
/// of families.
fn ingress(service: &Service, nodes: &[&Node]) -> Vec<Ingress> {
    let mut addresses = addresses_of(service, nodes, |node| &node.external);
    if addresses.is_empty() {
        addresses = addresses_of(service, nodes, |node| &node.internal);
    }
    let rank = |address: &NodeAddress| {
        let position = service.families.iter().position(|f| f.has(address.ip));
        position.unwrap_or(usize::MAX)
    };
    let mut addresses: Vec<&NodeAddress> = addresses.into_iter().collect();
    addresses.sort_by_key(|address| (rank(address), *address));
    let shown = addresses.into_iter().map(|address| Ingress {
        ip: address.text.clone(),
        mode: IpMode::Vip,
    });
    shown.collect()
}

fn addresses_of<'a>(
    service: &Service,
    nodes: &[&'a Node],
    of: fn(&Node) -> &Vec<NodeAddress>,
) -> BTreeSet<&'a NodeAddress> {
    let all = nodes.iter().flat_map(|node| of(node));
    all.filter(|address| is_wanted(service, address)).collect()
}

/// A node answers on all of its addresses: traffic for an external address may arrive at an internal one
/// if a router in front translates it.
fn forward(service: &Service, node: &Node) -> Option<Forward> {
    let all = node.internal.iter().chain(&node.external);
    let wanted: BTreeSet<&NodeAddress> = all.filter(|a| is_wanted(service, a)).collect();
    if wanted.is_empty() {
        return None;
    }
    let addresses = wanted.into_iter().map(|address| address.text.clone());
    Some(Forward {
        node: node.name.clone(),
        addresses: addresses.collect(),
    })
}

/// Whether an address is of the Service's families.
fn is_wanted(service: &Service, address: &NodeAddress) -> bool {
    let families = &service.families;
    families.is_empty() || families.iter().any(|family| family.has(address.ip))
}

#[cfg(test)]
pub(crate) mod testing {
    use std::net::IpAddr;

    use super::*;
    use crate::model::{Family, Protocol};

    pub(crate) fn address(ip: impl Into<IpAddr>) -> NodeAddress {
        ip.into().into()
    }

    pub(crate) fn node(name: &str, last: u8) -> Node {
        Node {
            name: name.into(),
            labels: BTreeMap::new(),
            ready: true,
            internal: vec![address([192, 0, 2, last])],
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
