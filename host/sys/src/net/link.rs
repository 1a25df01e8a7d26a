//! Network interfaces: bridges, veth pairs, vxlan and dummy devices.

use std::fmt;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::str::FromStr;

use k3s_base::error::Sentence;

use super::{Net, NetError, refused, unless_missing};
use crate::netlink::wire::{NLM_F_CREATE, NLM_F_EXCL, array, string, u32_ne};
use crate::netlink::{Attributes, Builder};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const VETH_INFO_PEER: u16 = 1;
const IFLA_VXLAN_ID: u16 = 1;
const IFLA_VXLAN_LINK: u16 = 3;
const IFLA_VXLAN_LOCAL: u16 = 4;
const IFLA_VXLAN_LEARNING: u16 = 7;
const IFLA_VXLAN_PORT: u16 = 15;
const IFLA_BRPORT_MODE: u16 = 4;

const IFF_UP: u32 = 0x1;
/// Length of `struct ifinfomsg`.
pub(super) const IFINFO_LEN: usize = 16;
/// `IFNAMSIZ` less the terminating zero.
const NAME_MAX: usize = 15;

/// A hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = Sentence;

    fn from_str(text: &str) -> Result<Self, Sentence> {
        let bytes: Option<Vec<u8>> = text
            .split(':')
            .map(|part| u8::from_str_radix(part, 16).ok())
            .collect();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        let bytes = bytes.ok_or_else(|| format!("{text:?} is not a hardware address"))?;
        Ok(Self(bytes))
    }
}

/// An interface as the kernel reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index in the kernel.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `bridge`, `veth`, `vxlan`, ...; None for hardware and loopback.
    pub kind: Option<String>,
    /// Bytes per packet.
    pub mtu: u32,
    /// Hardware address, where it has one.
    pub mac: Option<Mac>,
    /// Set up by the administrator (`IFF_UP`).
    pub up: bool,
    /// Index of the bridge (or bond) it belongs to.
    pub controller: Option<u32>,
    /// Free text (`ifalias`), which names the owner.
    pub alias: Option<String>,
    /// Parameters of a vxlan device.
    pub vxlan: Option<Vxlan>,
}

/// A vxlan device's parameters. The kernel cannot change these on a living device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vxlan {
    /// VXLAN network identifier.
    pub id: u32,
    /// UDP destination port.
    pub port: u16,
    /// Source address of the tunnel.
    pub local: Option<Ipv4Addr>,
    /// Index of the underlying interface.
    pub underlay: Option<u32>,
}

/// What to create.
#[derive(Clone, Copy, Debug)]
pub enum LinkKind<'a> {
    /// A software bridge.
    Bridge,
    /// A dummy device.
    Dummy,
    /// A vxlan device that does not learn: its forwarding entries are written by this product.
    Vxlan(Vxlan),
    /// A pair; the peer is created in `namespace`, so that it never appears in this one.
    Veth {
        /// The peer's name.
        peer: &'a str,
        /// The peer's namespace; None for this one.
        namespace: Option<BorrowedFd<'a>>,
    },
}

/// An interface to create.
#[derive(Clone, Copy, Debug)]
pub struct NewLink<'a> {
    /// Its name.
    pub name: &'a str,
    /// The kind, with its parameters.
    pub kind: LinkKind<'a>,
    /// Bytes per packet, on both ends of a pair; None for the kernel's choice.
    pub mtu: Option<u32>,
    /// Hardware address; None for a random one.
    pub mac: Option<Mac>,
    /// Index of the bridge that it joins.
    pub controller: Option<u32>,
    /// Set up at once (`IFF_UP`).
    pub up: bool,
}

/// Changes to an interface; None leaves a property alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkChange {
    /// Set up or down.
    pub up: Option<bool>,
    /// Bytes per packet.
    pub mtu: Option<u32>,
    /// Hardware address.
    pub mac: Option<Mac>,
    /// Index of the bridge to join; 0 to leave.
    pub controller: Option<u32>,
    /// Free text.
    pub alias: Option<String>,
    /// Bridge port: hairpin mode, for a pod that calls itself through its Service.
    pub hairpin: Option<bool>,
}

impl Net {
    /// Every interface.
    pub fn links(&self) -> Result<Vec<Link>, NetError> {
        self.socket
            .dump(RTM_GETLINK, |m| m.raw(&header(0, 0, 0)), parse)
            .map_err(|e| refused("ip link show", e))
    }

    /// One interface by name.
    pub fn link(&self, name: &str) -> Result<Option<Link>, NetError> {
        check_name(name)?;
        let mut found = None;
        let body = |m: &mut Builder| {
            m.raw(&header(0, 0, 0));
            m.attr_str(IFLA_IFNAME, name);
        };
        match self.socket.query(RTM_GETLINK, body, |kind, payload| {
            found = found.take().or(parse(kind, payload))
        }) {
            Ok(()) => Ok(found),
            Err(e) if e.is_missing() => Ok(None),
            Err(e) => Err(refused(format!("ip link show {name}"), e)),
        }
    }

    /// One interface by name, or the error that it is missing.
    pub fn require_link(&self, name: &str) -> Result<Link, NetError> {
        self.link(name)?
            .ok_or_else(|| NetError::NoLink(name.to_owned()))
    }

    /// Creates an interface; an error if the name exists.
    pub fn create_link(&self, link: &NewLink<'_>) -> Result<(), NetError> {
        check_name(link.name)?;
        self.socket
            .request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, |m| {
                write_new(m, link)
            })
            .map_err(|e| {
                refused(
                    format!("ip link add {} ({})", link.name, kind_name(&link.kind)),
                    e,
                )
            })
    }

    /// Changes an interface.
    pub fn change_link(&self, index: u32, change: &LinkChange) -> Result<(), NetError> {
        if *change == LinkChange::default() {
            return Ok(());
        }
        self.socket
            .request(RTM_NEWLINK, 0, |m| write_change(m, index, change))
            .map_err(|e| refused(format!("ip link set {index}"), e))
    }

    /// Removes an interface (of a pair: both ends). False if it was not there.
    pub fn delete_link(&self, name: &str) -> Result<bool, NetError> {
        check_name(name)?;
        let body = |m: &mut Builder| {
            m.raw(&header(0, 0, 0));
            m.attr_str(IFLA_IFNAME, name);
        };
        unless_missing(
            self.socket
                .request(RTM_DELLINK, 0, body)
                .map_err(|e| refused(format!("ip link del {name}"), e)),
        )
    }

    /// Sets the loopback interface up.
    pub fn loopback_up(&self) -> Result<(), NetError> {
        let lo = self.require_link("lo")?;
        self.change_link(
            lo.index,
            &LinkChange {
                up: Some(true),
                ..LinkChange::default()
            },
        )
    }
}

/// Refuses what the kernel would refuse, and what would escape from a path built from it.
pub fn check_name(name: &str) -> Result<(), NetError> {
    let good = (1..=NAME_MAX).contains(&name.len())
        && !matches!(name, "." | "..")
        && name
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'/' && b != b':');
    if good {
        Ok(())
    } else {
        Err(NetError::BadLinkName(name.to_owned()))
    }
}

fn kind_name(kind: &LinkKind<'_>) -> &'static str {
    match kind {
        LinkKind::Bridge => "bridge",
        LinkKind::Dummy => "dummy",
        LinkKind::Vxlan(_) => "vxlan",
        LinkKind::Veth { .. } => "veth",
    }
}

/// `struct ifinfomsg`.
fn header(index: u32, flags: u32, change: u32) -> [u8; IFINFO_LEN] {
    let mut bytes = [0; IFINFO_LEN];
    for (place, word) in bytes.chunks_exact_mut(4).zip([0, index, flags, change]) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

fn write_new(m: &mut Builder, link: &NewLink<'_>) {
    let up = if link.up { IFF_UP } else { 0 };
    m.raw(&header(0, up, up));
    m.attr_str(IFLA_IFNAME, link.name);
    if let Some(mtu) = link.mtu {
        m.attr_u32(IFLA_MTU, mtu);
    }
    if let Some(mac) = link.mac {
        m.attr(IFLA_ADDRESS, &mac.0);
    }
    if let Some(controller) = link.controller {
        m.attr_u32(IFLA_MASTER, controller);
    }
    m.nest(IFLA_LINKINFO, |m| {
        m.attr_str(IFLA_INFO_KIND, kind_name(&link.kind));
        match &link.kind {
            LinkKind::Bridge | LinkKind::Dummy => {}
            LinkKind::Vxlan(vxlan) => m.nest(IFLA_INFO_DATA, |m| write_vxlan(m, vxlan)),
            LinkKind::Veth { peer, namespace } => m.nest(IFLA_INFO_DATA, |m| {
                m.nest(VETH_INFO_PEER, |m| {
                    write_peer(m, peer, *namespace, link.mtu)
                });
            }),
        }
    });
}

fn write_peer(m: &mut Builder, name: &str, namespace: Option<BorrowedFd<'_>>, mtu: Option<u32>) {
    m.raw(&header(0, 0, 0));
    m.attr_str(IFLA_IFNAME, name);
    if let Some(mtu) = mtu {
        m.attr_u32(IFLA_MTU, mtu);
    }
    if let Some(fd) = namespace {
        m.attr(IFLA_NET_NS_FD, &fd.as_raw_fd().to_ne_bytes());
    }
}

fn write_vxlan(m: &mut Builder, vxlan: &Vxlan) {
    m.attr_u32(IFLA_VXLAN_ID, vxlan.id);
    if let Some(underlay) = vxlan.underlay {
        m.attr_u32(IFLA_VXLAN_LINK, underlay);
    }
    if let Some(local) = vxlan.local {
        m.attr(IFLA_VXLAN_LOCAL, &local.octets());
    }
    m.attr(IFLA_VXLAN_LEARNING, &[0]);
    m.attr(IFLA_VXLAN_PORT, &vxlan.port.to_be_bytes());
}

fn write_change(m: &mut Builder, index: u32, change: &LinkChange) {
    let (flags, mask) = match change.up {
        Some(true) => (IFF_UP, IFF_UP),
        Some(false) => (0, IFF_UP),
        None => (0, 0),
    };
    m.raw(&header(index, flags, mask));
    if let Some(mtu) = change.mtu {
        m.attr_u32(IFLA_MTU, mtu);
    }
    if let Some(mac) = change.mac {
        m.attr(IFLA_ADDRESS, &mac.0);
    }
    if let Some(controller) = change.controller {
        m.attr_u32(IFLA_MASTER, controller);
    }
    if let Some(alias) = &change.alias {
        m.attr_str(IFLA_IFALIAS, alias);
    }
    if let Some(hairpin) = change.hairpin {
        m.nest(IFLA_LINKINFO, |m| {
            m.attr_str(IFLA_INFO_SLAVE_KIND, "bridge");
            m.nest(IFLA_INFO_SLAVE_DATA, |m| {
                m.attr(IFLA_BRPORT_MODE, &[u8::from(hairpin)])
            });
        });
    }
}

fn parse(kind: u16, payload: &[u8]) -> Option<Link> {
    if kind != RTM_NEWLINK {
        return None;
    }
    let attributes = Attributes::after(payload, IFINFO_LEN);
    let info = attributes.inside(IFLA_LINKINFO);
    let link_kind = info.find(IFLA_INFO_KIND).map(string);
    let data = info.inside(IFLA_INFO_DATA);
    Some(Link {
        index: u32_ne(payload.get(4..)?)?,
        name: string(attributes.find(IFLA_IFNAME)?),
        mtu: attributes.find(IFLA_MTU).and_then(u32_ne).unwrap_or(0),
        mac: attributes
            .find(IFLA_ADDRESS)
            .and_then(|a| a.try_into().ok())
            .map(Mac),
        up: u32_ne(payload.get(8..)?)? & IFF_UP != 0,
        controller: attributes.find(IFLA_MASTER).and_then(u32_ne),
        alias: attributes
            .find(IFLA_IFALIAS)
            .map(string)
            .filter(|a| !a.is_empty()),
        vxlan: (link_kind.as_deref() == Some("vxlan")).then(|| parse_vxlan(data)),
        kind: link_kind,
    })
}

fn parse_vxlan(data: Attributes<'_>) -> Vxlan {
    Vxlan {
        id: data.find(IFLA_VXLAN_ID).and_then(u32_ne).unwrap_or(0),
        port: data
            .find(IFLA_VXLAN_PORT)
            .and_then(|v| array(v, 0))
            .map_or(0, u16::from_be_bytes),
        local: data
            .find(IFLA_VXLAN_LOCAL)
            .and_then(|v| array::<4>(v, 0))
            .map(Ipv4Addr::from),
        underlay: data.find(IFLA_VXLAN_LINK).and_then(u32_ne),
    }
}

/// The link in a multicast message, and whether it is there.
pub(super) fn parse_change(kind: u16, payload: &[u8]) -> Option<(String, bool)> {
    let name = || {
        Attributes::after(payload, IFINFO_LEN)
            .find(IFLA_IFNAME)
            .map(string)
    };
    match kind {
        RTM_NEWLINK => Some((name()?, true)),
        RTM_DELLINK => Some((name()?, false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses_are_read_and_written() {
        let mac: Mac = "02:42:0a:2a:00:ff".parse().unwrap();
        assert_eq!(mac.to_string(), "02:42:0a:2a:00:ff");
        assert!("02:42".parse::<Mac>().is_err());
    }

    #[test]
    fn names_that_could_leave_a_path_are_refused() {
        for bad in ["", ".", "..", "a/b", "a b", "sixteen-letters-"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        assert!(check_name("flannel.1").is_ok());
    }
}
