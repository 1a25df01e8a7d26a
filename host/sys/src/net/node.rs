//! The machine's own network: its default route, the address and MTU behind it; and the settings without
//! which it does not forward.

use std::net::{IpAddr, Ipv4Addr};

use super::{Net, NetError, sysctl};

/// The default route, and with it the node's own address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultRoute {
    /// Name of the interface.
    pub interface: String,
    /// Its index.
    pub index: u32,
    /// Bytes per packet on it.
    pub mtu: u32,
    /// The address that packets leave with: the node's internal IP unless configured.
    pub address: Ipv4Addr,
    /// The next hop; None on a point-to-point link.
    pub gateway: Option<Ipv4Addr>,
}

impl Net {
    /// The IPv4 default route with the lowest metric whose interface is up and has an address.
    pub fn default_route(&self) -> Result<DefaultRoute, NetError> {
        let mut routes = self.routes()?;
        routes.retain(|r| r.destination.prefix_len() == 0 && r.destination.addr().is_ipv4());
        routes.sort_by_key(|r| r.metric.unwrap_or(0));
        let (links, addresses) = (self.links()?, self.addresses()?);
        for route in routes {
            let Some(link) = links.iter().find(|l| l.index == route.index && l.up) else {
                continue;
            };
            let own = addresses
                .iter()
                .filter(|a| a.index == link.index && !a.host_scope)
                .find_map(|a| v4(a.net.addr()));
            let Some(address) = route.source.and_then(v4).or(own) else {
                continue;
            };
            return Ok(DefaultRoute {
                interface: link.name.clone(),
                index: link.index,
                mtu: link.mtu,
                address,
                gateway: route.gateway.and_then(v4),
            });
        }
        Err(NetError::NoDefaultRoute)
    }

    /// The address of the default route, once no interface has `old` any more. None while the node may keep
    /// the old one, and while it has no other.
    pub fn address_instead_of(&self, old: Ipv4Addr) -> Result<Option<Ipv4Addr>, NetError> {
        let addresses = self.addresses()?;
        let is_kept = addresses.iter().any(|a| a.net.addr() == IpAddr::V4(old));
        if is_kept {
            return Ok(None);
        }
        match self.default_route() {
            Ok(route) => Ok(Some(route.address)),
            Err(NetError::NoDefaultRoute) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The interface that has this address, as a [`DefaultRoute`] without a gateway: for `--node-ip`
    /// on a machine without a default route.
    pub fn route_of_address(&self, address: Ipv4Addr) -> Result<Option<DefaultRoute>, NetError> {
        let Some(owned) = self
            .addresses()?
            .into_iter()
            .find(|a| a.net.addr() == IpAddr::V4(address))
        else {
            return Ok(None);
        };
        let link = self.links()?.into_iter().find(|l| l.index == owned.index);
        Ok(link.map(|l| DefaultRoute {
            interface: l.name,
            index: l.index,
            mtu: l.mtu,
            address,
            gateway: None,
        }))
    }
}

/// Enables forwarding, and passes bridged packets through the packet filter: without the second,
/// the answer of a pod to its neighbour on the same bridge would skip the reverse translation.
///
/// The bridge settings exist only once `br_netfilter` is loaded; the error says so.
pub fn ensure_forwarding() -> Result<(), NetError> {
    sysctl::set("net.ipv4.ip_forward", "1")?;
    sysctl::set("net.bridge.bridge-nf-call-iptables", "1")?;
    if sysctl::get("net.ipv6.conf.all.forwarding")?.is_some() {
        sysctl::set("net.ipv6.conf.all.forwarding", "1")?;
        sysctl::set("net.bridge.bridge-nf-call-ip6tables", "1")?;
    }
    Ok(())
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    }
}
