//! Addresses of interfaces.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::{Net, NetError, refused, unless_exists, unless_missing};
use crate::netlink::wire::{NLM_F_CREATE, NLM_F_EXCL, array, u32_ne};
use crate::netlink::{Attributes, Builder};

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
/// Skip duplicate address detection: pod addresses are assigned by this node alone, and waiting costs a second.
const IFA_F_NODAD: u32 = 0x02;
const IFADDR_LEN: usize = 8;
/// `RT_SCOPE_HOST`: an address that means something on this machine only.
const SCOPE_HOST: u8 = 254;

/// An address with its prefix length, on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Index of the interface.
    pub index: u32,
    /// The address itself (not the network's) and its prefix length.
    pub net: IpNet,
    /// Valid on this machine only, as 127.0.0.1 is.
    pub host_scope: bool,
}

impl Net {
    /// Every address of every interface, in the kernel's order (an interface's primary first).
    pub fn addresses(&self) -> Result<Vec<Address>, NetError> {
        let body = |m: &mut Builder| m.raw(&[0; IFADDR_LEN]);
        self.socket
            .dump(RTM_GETADDR, body, parse)
            .map_err(|e| refused("ip address show", e))
    }

    /// Adds an address to an interface, unless the interface has it.
    pub fn add_address(&self, index: u32, net: IpNet) -> Result<(), NetError> {
        let result = self
            .socket
            .request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, |m| {
                write(m, index, net)
            })
            .map_err(|e| refused(format!("ip address add {net} dev {index}"), e));
        unless_exists(result)
    }

    /// Removes an address. False if it was not there.
    pub fn delete_address(&self, index: u32, net: IpNet) -> Result<bool, NetError> {
        unless_missing(
            self.socket
                .request(RTM_DELADDR, 0, |m| write(m, index, net))
                .map_err(|e| refused(format!("ip address del {net} dev {index}"), e)),
        )
    }
}

/// The bytes of an address.
pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// An address from 4 or 16 bytes.
pub(super) fn from_octets(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => array::<4>(bytes, 0).map(|b| Ipv4Addr::from(b).into()),
        16 => array::<16>(bytes, 0).map(|b| std::net::Ipv6Addr::from(b).into()),
        _ => None,
    }
}

/// The kernel's number of the address family.
pub(super) fn family(address: IpAddr) -> u8 {
    // Both constants are far below 256.
    if address.is_ipv4() {
        libc::AF_INET as u8
    } else {
        libc::AF_INET6 as u8
    }
}

fn write(m: &mut Builder, index: u32, net: IpNet) {
    m.raw(&[family(net.addr()), net.prefix_len(), 0, 0]);
    m.raw(&index.to_ne_bytes());
    let bytes = octets(net.addr());
    m.attr(IFA_LOCAL, &bytes);
    m.attr(IFA_ADDRESS, &bytes);
    match net {
        IpNet::V4(v4) if v4.prefix_len() < 31 => m.attr(IFA_BROADCAST, &v4.broadcast().octets()),
        IpNet::V4(_) => {}
        IpNet::V6(_) => m.attr_u32(IFA_FLAGS, IFA_F_NODAD),
    }
}

fn parse(kind: u16, payload: &[u8]) -> Option<Address> {
    if kind != RTM_NEWADDR {
        return None;
    }
    let prefix_len = *payload.get(1)?;
    let attributes = Attributes::after(payload, IFADDR_LEN);
    let address = from_octets(
        attributes
            .find(IFA_LOCAL)
            .or_else(|| attributes.find(IFA_ADDRESS))?,
    )?;
    Some(Address {
        index: u32_ne(payload.get(4..)?)?,
        net: IpNet::new(address, prefix_len).ok()?,
        host_scope: *payload.get(3)? == SCOPE_HOST,
    })
}
