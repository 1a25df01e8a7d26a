//! Pods that call outside the cluster do so by their node's address.

use ipnet::Ipv4Net;

use crate::rules::{in_network, nat_chain};
use k3s_plugin_sdk::cni::net::{Hook, Load, Statement, Table};

/// After the service proxy's own decision at 100 it makes no difference, so the same place will do.
const PRIORITY: i32 = 100;

/// The table; `network` is the cluster CIDR.
pub(crate) fn table(network: Ipv4Net) -> Table {
    let multicast = Ipv4Net::new_assert([224, 0, 0, 0].into(), 4);
    let leaving = vec![
        in_network(Load::SourceAddress, network, true),
        in_network(Load::DestinationAddress, network, false),
        in_network(Load::DestinationAddress, multicast, false),
        Statement::Masquerade,
    ];
    Table {
        name: "masq".to_owned(),
        sets: Vec::new(),
        chains: vec![nat_chain(
            "postrouting",
            Hook::Postrouting,
            PRIORITY,
            vec![leaving],
        )],
    }
}
