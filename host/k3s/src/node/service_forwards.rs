//! The node's side of LoadBalancer Services: hands the addresses that the service load balancer assigns to
//! this node to its service proxy.

use std::net::{IpAddr, Ipv4Addr};

use k3s_netproxy::Forwards;
use k3s_servicelb::NodeForwards;

/// The forwards of one node. The service load balancer sets them, the node's proxy follows them.
pub(crate) struct ServiceForwards {
    node_name: String,
    forwards: Forwards,
}

impl ServiceForwards {
    /// Of the node `node_name`, which forwards nothing yet.
    pub(crate) fn new(node_name: &str) -> Self {
        Self {
            node_name: node_name.to_owned(),
            forwards: Forwards::default(),
        }
    }

    /// For the node's proxy.
    pub(crate) fn forwards(&self) -> Forwards {
        self.forwards.clone()
    }
}

impl NodeForwards for ServiceForwards {
    fn set(&self, node: &str, service: &str, addresses: &[IpAddr]) {
        if node == self.node_name {
            let addresses = addresses.iter().filter_map(v4).collect();
            self.forwards.set(service, addresses);
        }
    }
}

/// The service proxy has no IPv6, and Services get no IPv6 addresses.
fn v4(address: &IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    }
}
