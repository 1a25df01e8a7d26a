//! Who may ask: pods, nodes, and this machine. The server listens on a node's address and forwards to
//! other name servers, so answering all clients would make it an open resolver.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::zone::Zone;

#[derive(Clone, Debug)]
pub(crate) struct Access {
    pod_networks: Vec<IpNet>,
    own: IpAddr,
}

impl Access {
    pub(crate) fn new(pod_networks: Vec<IpNet>, own: IpAddr) -> Self {
        Self { pod_networks, own }
    }

    pub(crate) fn allows(&self, from: IpAddr, zone: &Zone) -> bool {
        from.is_loopback()
            || from == self.own
            || self
                .pod_networks
                .iter()
                .any(|network| network.contains(&from))
            || zone.node_at(from).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_not_answered() {
        let access = Access::new(
            vec!["10.42.0.0/16".parse().unwrap()],
            [192, 168, 1, 1].into(),
        );
        let mut zone = Zone::default();
        zone.set_node("other", vec![[192, 168, 1, 2].into()]);
        let allowed = |address: [u8; 4]| access.allows(address.into(), &zone);
        assert!(
            allowed([10, 42, 3, 4])
                && allowed([192, 168, 1, 1])
                && allowed([192, 168, 1, 2])
                && allowed([127, 0, 0, 1])
        );
        assert!(!allowed([192, 168, 1, 3]) && !allowed([8, 8, 8, 8]));
    }
}
