//! Routes of the main table.

use std::net::IpAddr;

use ipnet::IpNet;

use super::address::{family, from_octets, octets};
use super::{Net, NetError, refused, unless_missing};
use crate::netlink::wire::{NLM_F_CREATE, NLM_F_REPLACE, u32_ne};
use crate::netlink::{Attributes, Builder};

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_TABLE: u16 = 15;
const RTMSG_LEN: usize = 12;
const TABLE_MAIN: u8 = 254;
const TYPE_UNICAST: u8 = 1;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
/// The gateway is reachable on the link although no route says so (vxlan peers).
const RTNH_F_ONLINK: u32 = 4;

/// The protocol number of routes that this product adds, so that pruning touches no other. It is free
/// in `/etc/iproute2/rt_protos`.
const PROTOCOL_OWNED: u8 = 75;
/// The protocol number of routes that the administrator added.
const PROTOCOL_BOOT: u8 = 3;

/// How far a route's destination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteScope {
    /// Behind a gateway.
    Universe,
    /// On the link itself.
    Link,
}

/// A unicast route of the main table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// The destination; a prefix of length 0 is the default route.
    pub destination: IpNet,
    /// The next hop; none for a destination on the link.
    pub gateway: Option<IpAddr>,
    /// Index of the interface.
    pub index: u32,
    /// The source address that the kernel prefers on this route.
    pub source: Option<IpAddr>,
    /// Of several routes to a destination, the one with the smallest metric is used.
    pub metric: Option<u32>,
    /// How far the destination is.
    pub scope: RouteScope,
    /// The gateway is on the link, whatever other routes say (`onlink`).
    pub on_link: bool,
    /// Whether this product added the route.
    pub owned: bool,
}

impl Net {
    /// The unicast routes of the main table.
    pub fn routes(&self) -> Result<Vec<Route>, NetError> {
        let body = |m: &mut Builder| m.raw(&[0; RTMSG_LEN]);
        self.socket
            .dump(RTM_GETROUTE, body, parse)
            .map_err(|e| refused("ip route show", e))
    }

    /// Adds a route, or replaces the one to the same destination with the same metric.
    pub fn replace_route(&self, route: &Route) -> Result<(), NetError> {
        self.socket
            .request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, |m| {
                write(m, route)
            })
            .map_err(|e| refused(format!("ip route replace {}", route.destination), e))
    }

    /// Removes a route. False if it was not there.
    pub fn delete_route(&self, route: &Route) -> Result<bool, NetError> {
        unless_missing(
            self.socket
                .request(RTM_DELROUTE, 0, |m| write(m, route))
                .map_err(|e| refused(format!("ip route del {}", route.destination), e)),
        )
    }
}

fn write(m: &mut Builder, route: &Route) {
    let destination = route.destination;
    let protocol = if route.owned {
        PROTOCOL_OWNED
    } else {
        PROTOCOL_BOOT
    };
    let scope = match route.scope {
        RouteScope::Universe => SCOPE_UNIVERSE,
        RouteScope::Link => SCOPE_LINK,
    };
    let flags = if route.on_link { RTNH_F_ONLINK } else { 0 };
    m.raw(&[
        family(destination.addr()),
        destination.prefix_len(),
        0,
        0,
        TABLE_MAIN,
        protocol,
        scope,
        TYPE_UNICAST,
    ]);
    m.raw(&flags.to_ne_bytes());
    if destination.prefix_len() > 0 {
        m.attr(RTA_DST, &octets(destination.network()));
    }
    m.attr_u32(RTA_OIF, route.index);
    if let Some(gateway) = route.gateway {
        m.attr(RTA_GATEWAY, &octets(gateway));
    }
    if let Some(source) = route.source {
        m.attr(RTA_PREFSRC, &octets(source));
    }
    if let Some(metric) = route.metric {
        m.attr_u32(RTA_PRIORITY, metric);
    }
}

fn parse(kind: u16, payload: &[u8]) -> Option<Route> {
    let [family, prefix_len, _, _, table, protocol, scope, route_type] =
        *payload.first_chunk::<8>()?;
    let attributes = Attributes::after(payload, RTMSG_LEN);
    let table = attributes
        .find(RTA_TABLE)
        .and_then(u32_ne)
        .unwrap_or_else(|| table.into());
    if kind != RTM_NEWROUTE || table != u32::from(TABLE_MAIN) || route_type != TYPE_UNICAST {
        return None;
    }
    let address = |kind| attributes.find(kind).and_then(from_octets);
    let everywhere: IpAddr = match i32::from(family) {
        libc::AF_INET => [0; 4].into(),
        libc::AF_INET6 => [0; 16].into(),
        _ => return None,
    };
    Some(Route {
        destination: IpNet::new(address(RTA_DST).unwrap_or(everywhere), prefix_len).ok()?,
        gateway: address(RTA_GATEWAY),
        // Multipath routes have no single interface; no caller needs them.
        index: attributes.find(RTA_OIF).and_then(u32_ne)?,
        source: address(RTA_PREFSRC),
        metric: attributes.find(RTA_PRIORITY).and_then(u32_ne),
        scope: if scope == SCOPE_LINK {
            RouteScope::Link
        } else {
            RouteScope::Universe
        },
        on_link: u32_ne(payload.get(8..)?)? & RTNH_F_ONLINK != 0,
        owned: protocol == PROTOCOL_OWNED,
    })
}
