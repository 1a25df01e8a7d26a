//! Neighbours (who has which address on a link) and bridge forwarding entries (behind which tunnel
//! endpoint a hardware address is): one kernel table, two families.

use std::net::IpAddr;

use super::address::{family, from_octets, octets};
use super::{Mac, Net, NetError, refused, unless_missing};
use crate::netlink::wire::{NLM_F_CREATE, NLM_F_REPLACE, array, u32_ne};
use crate::netlink::{Attributes, Builder};

const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_GETNEIGH: u16 = 30;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDMSG_LEN: usize = 12;
const NUD_PERMANENT: u16 = 0x80;
/// The device's own table (vxlan), not that of a bridge above it.
const NTF_SELF: u8 = 2;
const AF_BRIDGE: u8 = 7;

/// The two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NeighbourTable {
    /// Address resolution: `address` has hardware address `mac` on the link.
    Arp,
    /// Forwarding of a vxlan device: `mac` is behind the tunnel endpoint `address`.
    Forwarding,
}

/// A permanent entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Neighbour {
    /// The table that it is in.
    pub table: NeighbourTable,
    /// Index of the interface.
    pub index: u32,
    /// The neighbour's address, or the tunnel endpoint's.
    pub address: IpAddr,
    /// The hardware address.
    pub mac: Mac,
}

impl Net {
    /// The permanent entries of one table on one interface.
    pub fn neighbours(
        &self,
        table: NeighbourTable,
        index: u32,
    ) -> Result<Vec<Neighbour>, NetError> {
        let family = if table == NeighbourTable::Forwarding {
            AF_BRIDGE
        } else {
            0
        };
        let body = |m: &mut Builder| {
            let mut header = [0; NDMSG_LEN];
            header[0] = family;
            m.raw(&header);
        };
        let each = |kind, payload: &[u8]| {
            parse(kind, payload).filter(|n| n.table == table && n.index == index)
        };
        self.socket
            .dump(RTM_GETNEIGH, body, each)
            .map_err(|e| refused("ip neighbour show", e))
    }

    /// Adds a permanent entry, or replaces the one with the same key.
    pub fn replace_neighbour(&self, neighbour: &Neighbour) -> Result<(), NetError> {
        self.socket
            .request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, |m| {
                write(m, neighbour)
            })
            .map_err(|e| refused(format!("ip neighbour replace {}", neighbour.address), e))
    }

    /// Removes an entry. False if it was not there.
    pub fn delete_neighbour(&self, neighbour: &Neighbour) -> Result<bool, NetError> {
        unless_missing(
            self.socket
                .request(RTM_DELNEIGH, 0, |m| write(m, neighbour))
                .map_err(|e| refused(format!("ip neighbour del {}", neighbour.address), e)),
        )
    }
}

fn write(m: &mut Builder, neighbour: &Neighbour) {
    let (family, flags) = match neighbour.table {
        NeighbourTable::Arp => (family(neighbour.address), 0),
        NeighbourTable::Forwarding => (AF_BRIDGE, NTF_SELF),
    };
    m.raw(&[family, 0, 0, 0]);
    m.raw(&neighbour.index.to_ne_bytes());
    m.raw(&NUD_PERMANENT.to_ne_bytes());
    m.raw(&[flags, 0]);
    m.attr(NDA_DST, &octets(neighbour.address));
    m.attr(NDA_LLADDR, &neighbour.mac.0);
}

fn parse(kind: u16, payload: &[u8]) -> Option<Neighbour> {
    let state = u16::from_ne_bytes(array(payload, 8)?);
    if kind != RTM_NEWNEIGH || state & NUD_PERMANENT == 0 {
        return None;
    }
    let attributes = Attributes::after(payload, NDMSG_LEN);
    let bridge = *payload.first()? == AF_BRIDGE;
    Some(Neighbour {
        table: if bridge {
            NeighbourTable::Forwarding
        } else {
            NeighbourTable::Arp
        },
        index: u32_ne(payload.get(4..)?)?,
        address: from_octets(attributes.find(NDA_DST)?)?,
        mac: Mac(attributes.find(NDA_LLADDR)?.try_into().ok()?),
    })
}
