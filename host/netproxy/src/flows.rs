//! Which tracked UDP flows are stale: those to a frontend that answer from somewhere the frontend no
//! longer leads to. That includes flows that began while it led nowhere.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use k3s_sys::net::conntrack::Flow;

use crate::model::Transport;
use crate::plan::Frontend;
use crate::state::UdpTargets;

const UDP: u8 = 17;

/// Decides about flows.
pub(crate) struct Stale {
    by_address: HashMap<(Ipv4Addr, u16), Vec<(Ipv4Addr, u16)>>,
    by_node_port: HashMap<u16, Vec<(Ipv4Addr, u16)>>,
}

impl Stale {
    pub(crate) fn new(targets: UdpTargets) -> Self {
        let mut stale = Self {
            by_address: HashMap::new(),
            by_node_port: HashMap::new(),
        };
        for (frontend, targets) in targets {
            let targets = targets.into_iter().collect();
            match frontend {
                Frontend::Address(ip, Transport::Udp, port) => {
                    drop(stale.by_address.insert((ip, port), targets))
                }
                Frontend::NodePort(Transport::Udp, port) => {
                    drop(stale.by_node_port.insert(port, targets))
                }
                _ => {}
            }
        }
        stale
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_address.is_empty() && self.by_node_port.is_empty()
    }

    pub(crate) fn is_stale(&self, flow: &Flow) -> bool {
        let targets = self
            .by_address
            .get(&flow.destination)
            .or_else(|| self.by_node_port.get(&flow.destination.1));
        flow.protocol == UDP && targets.is_some_and(|targets| !targets.contains(&flow.replier))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn only_flows_to_ends_that_are_gone_are_stale() {
        let vip = (Ipv4Addr::new(10, 43, 0, 10), 53);
        let (here, gone) = (
            (Ipv4Addr::new(10, 42, 0, 2), 53),
            (Ipv4Addr::new(10, 42, 0, 3), 53),
        );
        let targets = BTreeSet::from([here]);
        let stale = Stale::new(UdpTargets::from([
            (
                Frontend::Address(vip.0, Transport::Udp, vip.1),
                targets.clone(),
            ),
            (Frontend::NodePort(Transport::Udp, 30_053), targets),
        ]));
        let flow = |destination, replier| Flow {
            protocol: 17,
            source: ([10, 42, 0, 9].into(), 4000),
            destination,
            replier,
        };
        let node = (Ipv4Addr::new(192, 168, 0, 1), 30_053);
        assert!(!stale.is_stale(&flow(vip, here)));
        assert!(stale.is_stale(&flow(vip, gone)));
        assert!(
            stale.is_stale(&flow(vip, vip)),
            "it began while there was no endpoint"
        );
        assert!(stale.is_stale(&flow(node, gone)));
        assert!(!stale.is_stale(&flow(gone, gone)), "not a frontend at all");
        assert!(!stale.is_stale(&Flow {
            protocol: 6,
            ..flow(vip, gone)
        }));
    }
}
