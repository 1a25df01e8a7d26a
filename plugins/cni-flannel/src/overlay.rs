//! The way to the pods of other nodes.
//!
//! VXLAN as flannel does it: one device per node, whose address is the first of the node's pod CIDR; for
//! each other node a route to its pod CIDR by that address, the hardware address behind it, and the
//! node behind the hardware address. Nothing is learnt from traffic.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::config::{Backend, Config};
use crate::node::{annotation, pod_cidr};
use k3s_plugin_sdk::cni::Node;
use k3s_plugin_sdk::cni::net::{
    Link, LinkKind, Neighbour, NeighbourTable, NodeRoute, Plan, Route, Uplink, Vxlan,
};

/// Bytes that VXLAN over IPv4 adds to a packet.
pub(crate) const VXLAN_OVERHEAD: u32 = 50;
pub(crate) const BACKEND_TYPE: &str = "flannel.alpha.coreos.com/backend-type";
pub(crate) const BACKEND_DATA: &str = "flannel.alpha.coreos.com/backend-data";
pub(crate) const PUBLIC_IP: &str = "flannel.alpha.coreos.com/public-ip";

/// The annotation's JSON, with flannel's field names.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct VxlanData {
    #[serde(rename = "VNI")]
    vni: u32,
    #[serde(rename = "VtepMAC")]
    vtep_mac: String,
}

/// The backend's name in annotations.
pub(crate) fn backend_type(backend: Backend) -> &'static str {
    match backend {
        Backend::Vxlan => "vxlan",
        Backend::HostGw => "host-gw",
    }
}

/// What other nodes must know of this one.
pub(crate) fn backend_data(config: &Config, this: &Node, cidr: Ipv4Net) -> String {
    match config.backend {
        Backend::Vxlan => {
            let data = VxlanData {
                vni: config.vni,
                vtep_mac: vtep_mac(this, cidr),
            };
            serde_json::to_string(&data).unwrap_or_default()
        }
        Backend::HostGw => "null".to_owned(),
    }
}

/// The device's hardware address: the one that the others know already, or one made from the pod CIDR,
/// which no other node has.
fn vtep_mac(this: &Node, cidr: Ipv4Net) -> String {
    let known = annotation(this, BACKEND_DATA)
        .and_then(|text| serde_json::from_str::<VxlanData>(text).ok());
    known.map_or_else(|| mac(0x02, 0x42, cidr.network()), |data| data.vtep_mac)
}

/// A locally administered hardware address that repeats an IPv4 address.
pub(crate) fn mac(first: u8, second: u8, address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("{first:02x}:{second:02x}:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// Adds links, routes and neighbours to this node's plan.
pub(crate) fn extend(
    plan: &mut Plan,
    config: &Config,
    this: &Node,
    cidr: Ipv4Net,
    uplink: &Uplink,
    others: &[&Node],
) {
    match config.backend {
        Backend::Vxlan => vxlan(plan, config, this, cidr, uplink, others),
        Backend::HostGw => host_gw(plan, uplink, others),
    }
}

fn vxlan(
    plan: &mut Plan,
    config: &Config,
    this: &Node,
    cidr: Ipv4Net,
    uplink: &Uplink,
    others: &[&Node],
) {
    let device = format!("flannel.{}", config.vni);
    plan.links.push(Link {
        name: device.clone(),
        kind: LinkKind::Vxlan(Vxlan {
            id: config.vni,
            port: config.port,
            local: uplink.address.clone(),
            underlay: uplink.link.clone(),
        }),
        mtu: uplink.mtu.saturating_sub(VXLAN_OVERHEAD),
        mac: Some(vtep_mac(this, cidr)),
        bridge: None,
        hairpin: false,
        addresses: vec![format!("{}/32", cidr.network())],
    });
    for node in others {
        let Some(peer) = vxlan_peer(config, node) else {
            continue;
        };
        let gateway = peer.cidr.network().to_string();
        plan.routes.push(NodeRoute {
            link: device.clone(),
            route: Route {
                destination: peer.cidr.to_string(),
                gateway: Some(gateway.clone()),
                on_link: true,
            },
        });
        let neighbour = |table, address| Neighbour {
            link: device.clone(),
            table,
            address,
            mac: peer.vtep_mac.clone(),
        };
        plan.neighbours
            .push(neighbour(NeighbourTable::Arp, gateway));
        plan.neighbours.push(neighbour(
            NeighbourTable::Forwarding,
            peer.public_ip.clone(),
        ));
    }
}

struct VxlanPeer {
    cidr: Ipv4Net,
    public_ip: String,
    vtep_mac: String,
}

/// Another node, once its annotations say how to reach it.
fn vxlan_peer(config: &Config, node: &Node) -> Option<VxlanPeer> {
    let data: VxlanData = serde_json::from_str(annotation(node, BACKEND_DATA)?).ok()?;
    let same = annotation(node, BACKEND_TYPE) == Some("vxlan") && data.vni == config.vni;
    same.then_some(())?;
    Some(VxlanPeer {
        cidr: pod_cidr(node)?,
        public_ip: public_ip(node)?,
        vtep_mac: data.vtep_mac,
    })
}

fn host_gw(plan: &mut Plan, uplink: &Uplink, others: &[&Node]) {
    for node in others {
        let (Some(cidr), Some(gateway)) = (pod_cidr(node), public_ip(node)) else {
            continue;
        };
        plan.routes.push(NodeRoute {
            link: uplink.link.clone(),
            route: Route {
                destination: cidr.to_string(),
                gateway: Some(gateway),
                on_link: false,
            },
        });
    }
}

fn public_ip(node: &Node) -> Option<String> {
    annotation(node, PUBLIC_IP)
        .map(str::to_owned)
        .or_else(|| node.internal_ips.first().cloned())
}
