//! The ranges that services live in.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

/// Address and port ranges.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    /// `--service-cidr`: the primary family first, one or two ranges.
    pub cidrs: Vec<IpNet>,
    /// `--service-node-port-range`.
    pub node_ports: RangeInclusive<u16>,
}

impl ServiceSettings {
    /// The range of the given family.
    pub(crate) fn cidr(&self, family: &str) -> Option<&IpNet> {
        self.cidrs
            .iter()
            .find(|cidr| family_of(cidr.addr()) == family)
    }

    /// The family that services get unless they ask.
    pub(crate) fn primary(&self) -> &'static str {
        self.cidrs
            .first()
            .map_or("IPv4", |cidr| family_of(cidr.addr()))
    }

    /// All families, primary first.
    pub(crate) fn families(&self) -> Vec<&'static str> {
        self.cidrs
            .iter()
            .map(|cidr| family_of(cidr.addr()))
            .collect()
    }
}

/// `IPv4` or `IPv6`.
pub(crate) fn family_of(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// How many addresses of a range can be given out: neither the network address nor (in IPv4) the
/// broadcast address. IPv6 ranges are used up to 2^16, as upstream bounds its search.
pub(crate) fn usable(cidr: &IpNet) -> u64 {
    let bits = u32::from(cidr.max_prefix_len().saturating_sub(cidr.prefix_len()));
    match cidr {
        IpNet::V4(_) => 1_u64
            .checked_shl(bits)
            .unwrap_or(u64::MAX)
            .saturating_sub(2),
        IpNet::V6(_) => 1_u64
            .checked_shl(bits.min(16))
            .unwrap_or(u64::MAX)
            .saturating_sub(1),
    }
}

/// The address `n` after the network address.
pub(crate) fn nth(cidr: &IpNet, n: u64) -> Option<IpAddr> {
    match cidr {
        IpNet::V4(net) => {
            let base = u32::from(net.network());
            Some(IpAddr::V4(base.checked_add(u32::try_from(n).ok()?)?.into()))
        }
        IpNet::V6(net) => Some(IpAddr::V6(
            u128::from(net.network()).checked_add(u128::from(n))?.into(),
        )),
    }
}

/// Addresses at the start of a range that are given out only on request (KEP-3070), so that fixed
/// addresses such as that of the cluster DNS do not collide.
pub(crate) fn static_band(usable: u64) -> u64 {
    (usable / 16).clamp(16, 256).min(usable)
}
