//! What a pod needs: a pair of interfaces on the bridge, an address, the way out, its host ports.

use std::net::Ipv4Addr;

use crate::hostports;
use crate::node::{BRIDGE, Local};
use crate::overlay::mac;
use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::cni::net::{Link, LinkKind, Plan, PodEnd, Route};
use k3s_plugin_sdk::cni::{Sandbox, link_name};

/// The plan of a pod with this address.
pub(crate) fn plan(local: &Local, sandbox: &Sandbox, address: Ipv4Addr) -> Result<Plan, Sentence> {
    let inside = PodEnd {
        name: "eth0".to_owned(),
        // From the address, so that neighbours who knew the address's last owner are not misled.
        mac: Some(mac(0x0a, 0x58, address)),
        addresses: vec![format!("{address}/{}", local.cidr.prefix_len())],
        routes: vec![Route {
            destination: "0.0.0.0/0".to_owned(),
            gateway: Some(local.gateway.to_string()),
            on_link: false,
        }],
    };
    let link = Link {
        name: link_name(&sandbox.id),
        kind: LinkKind::Pod(inside),
        mtu: local.mtu,
        mac: None,
        bridge: Some(BRIDGE.to_owned()),
        // A pod may call itself by its Service.
        hairpin: true,
        addresses: Vec::new(),
    };
    Ok(Plan {
        links: vec![link],
        elements: hostports::elements(address, &sandbox.ports)?,
        ..Plan::default()
    })
}
