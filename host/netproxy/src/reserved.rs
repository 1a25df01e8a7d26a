//! Addresses that no Service gets by naming them in `externalIPs`: whoever may write a Service could take the
//! cluster's own traffic with them (CVE-2020-8554). Other addresses are served, as on K3s.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use ipnet::Ipv4Net;

use crate::model::Transport;

/// Ports that every node answers on: its kubelet, and the overlay between nodes.
const NODE_PORTS: [(Transport, u16); 2] = [(Transport::Tcp, 10_250), (Transport::Udp, 8472)];

/// An address and port.
pub(crate) type Target = (Ipv4Addr, Transport, u16);

/// Whom addresses belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reserved {
    /// Of cluster addresses and of pods.
    pub(crate) networks: Vec<Ipv4Net>,
    /// Of all nodes.
    pub(crate) nodes: BTreeSet<Ipv4Addr>,
    /// Where the API server and the cluster's DNS are.
    pub(crate) endpoints: BTreeSet<Target>,
    /// Of this node.
    pub(crate) own: BTreeSet<Ipv4Addr>,
    /// Where processes of this node take TCP connections.
    pub(crate) listeners: BTreeSet<SocketAddrV4>,
}

impl Reserved {
    /// Whom an address and port belong to; none if a Service may have them.
    pub(crate) fn owner(&self, target: Target) -> Option<&'static str> {
        let (address, transport, port) = target;
        if self.networks.iter().any(|net| net.contains(&address)) {
            return Some("the cluster's networks");
        }
        if self.endpoints.contains(&target) {
            return Some("the cluster");
        }
        if self.nodes.contains(&address) && NODE_PORTS.contains(&(transport, port)) {
            return Some("a node");
        }
        let on = |address| self.listeners.contains(&SocketAddrV4::new(address, port));
        let is_listening = on(address) || on(Ipv4Addr::UNSPECIFIED);
        if transport == Transport::Tcp && self.own.contains(&address) && is_listening {
            return Some("a process of the node");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_s_own_addresses_belong_to_no_service() {
        let node = Ipv4Addr::new(192, 0, 2, 10);
        let other = Ipv4Addr::new(192, 0, 2, 11);
        let reserved = Reserved {
            networks: vec!["10.43.0.0/16".parse().unwrap()],
            nodes: [node, other].into(),
            endpoints: [
                (other, Transport::Tcp, 6443),
                (node, Transport::Udp, 10_053),
            ]
            .into(),
            own: [node].into(),
            listeners: [
                SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 22),
                SocketAddrV4::new(Ipv4Addr::LOCALHOST, 6444),
            ]
            .into(),
        };
        let (tcp, udp) = (Transport::Tcp, Transport::Udp);
        for target in [
            (Ipv4Addr::new(10, 43, 0, 10), udp, 53),
            (Ipv4Addr::new(10, 43, 9, 9), tcp, 80),
            (other, tcp, 6443),
            (node, udp, 10_053),
            (other, tcp, 10_250),
            (node, tcp, 22),
        ] {
            assert!(reserved.owner(target).is_some(), "{target:?}");
        }
        for target in [
            (node, tcp, 80),
            (node, udp, 22),
            (node, tcp, 6444),
            (other, tcp, 22),
            (Ipv4Addr::new(203, 0, 113, 5), tcp, 6443),
        ] {
            assert_eq!(reserved.owner(target), None, "{target:?}");
        }
    }
}
