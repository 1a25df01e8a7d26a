//! Forgetting tracked flows. A UDP flow has no end that the kernel could see, so a client that keeps
//! its port would be sent to a dead endpoint for as long as it sends.

use std::net::Ipv4Addr;

use super::{NetError, refused};
use crate::netlink::wire::array;
use crate::netlink::{Attributes, Builder, Protocol, Socket};

const SUBSYS_CTNETLINK: u16 = 1 << 8;
const CT_NEW: u16 = SUBSYS_CTNETLINK;
const CT_GET: u16 = SUBSYS_CTNETLINK | 1;
const CT_DELETE: u16 = SUBSYS_CTNETLINK | 2;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ZONE: u16 = 18;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
/// `struct nfgenmsg`: family, version, resource.
const NFGEN_LEN: usize = 4;

/// One tracked IPv4 flow: the addresses of its first packet and of its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// IP protocol number (17 = UDP).
    pub protocol: u8,
    /// The client.
    pub source: (Ipv4Addr, u16),
    /// The address that the client sends to.
    pub destination: (Ipv4Addr, u16),
    /// The address that answers (after destination translation).
    pub replier: (Ipv4Addr, u16),
}

/// The flow table of one network namespace.
#[derive(Debug)]
pub struct Conntrack {
    socket: Socket,
}

impl Conntrack {
    /// Opens the calling thread's namespace.
    pub fn open() -> Result<Self, NetError> {
        let socket = Socket::open(Protocol::Netfilter).map_err(|e| refused("open conntrack", e))?;
        Ok(Self { socket })
    }

    /// Removes every IPv4 flow that is `stale`; its next packet is translated again. Reads the whole table,
    /// so it is for changes that need it, never for a timer. Returns how many were removed.
    pub fn forget(&self, stale: impl Fn(&Flow) -> bool) -> Result<usize, NetError> {
        let body = |m: &mut Builder| m.raw(&header());
        let each = |kind: u16, payload: &[u8]| {
            let attributes = Attributes::after(payload, NFGEN_LEN);
            let flow = if kind == CT_NEW {
                parse(attributes)?
            } else {
                return None;
            };
            let tuple = attributes.find(CTA_TUPLE_ORIG).filter(|_| stale(&flow))?;
            Some((
                tuple.to_vec(),
                attributes.find(CTA_ZONE).map(<[u8]>::to_vec),
            ))
        };
        let doomed = self
            .socket
            .dump(CT_GET, body, each)
            .map_err(|e| refused("conntrack -L", e))?;
        let mut forgotten = 0;
        for (tuple, zone) in doomed {
            let result = self.socket.request(CT_DELETE, 0, |m| {
                m.raw(&header());
                m.nest(CTA_TUPLE_ORIG, |m| m.raw(&tuple));
                if let Some(zone) = &zone {
                    m.attr(CTA_ZONE, zone);
                }
            });
            match result {
                Ok(()) => forgotten += 1,
                // The flow ended in the meantime.
                Err(e) if e.is_missing() => {}
                Err(e) => return Err(refused("conntrack -D", e)),
            }
        }
        Ok(forgotten)
    }
}

fn header() -> [u8; NFGEN_LEN] {
    [libc::AF_INET as u8, 0, 0, 0]
}

fn parse(attributes: Attributes<'_>) -> Option<Flow> {
    let original = attributes.inside(CTA_TUPLE_ORIG);
    let reply = attributes.inside(CTA_TUPLE_REPLY);
    Some(Flow {
        protocol: *original
            .inside(CTA_TUPLE_PROTO)
            .find(CTA_PROTO_NUM)?
            .first()?,
        source: end(original, CTA_IP_V4_SRC, CTA_PROTO_SRC_PORT)?,
        destination: end(original, CTA_IP_V4_DST, CTA_PROTO_DST_PORT)?,
        replier: end(reply, CTA_IP_V4_SRC, CTA_PROTO_SRC_PORT)?,
    })
}

fn end(tuple: Attributes<'_>, address: u16, port: u16) -> Option<(Ipv4Addr, u16)> {
    let address = array::<4>(tuple.inside(CTA_TUPLE_IP).find(address)?, 0)?;
    // Protocols without ports (ICMP) count as port 0.
    let port = tuple
        .inside(CTA_TUPLE_PROTO)
        .find(port)
        .and_then(|p| array(p, 0))
        .map_or(0, u16::from_be_bytes);
    Some((address.into(), port))
}
