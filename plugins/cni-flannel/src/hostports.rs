//! `hostPort`: a port of the node that leads to a pod, from outside, from pods, and from the node itself
//! by any of its addresses, 127.0.0.1 among them.
//!
//! The rules are the node's and never change; a pod adds elements to the maps.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::rules::{
    Key, chain, dnat, in_network, in_set, jump, nat_chain, to_this_node, translated,
};
use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::cni::net::{
    Element, ElementData, Field, Hook, Load, Set, SetData, Statement, Table,
};
use k3s_plugin_sdk::cni::{PortMapping, Protocol};

const TABLE: &str = "hostports";
/// protocol . port → pod
const ANY: &str = "any-address";
/// address . protocol . port → pod
const ONE: &str = "one-address";
/// pod . pod: pods that may call themselves through the node
const HAIRPIN: &str = "hairpin";
/// Just after the service proxy (-100), whose node ports go first as in Kubernetes.
const DNAT_PRIORITY: i32 = -99;
/// Just before masquerading of what leaves the cluster.
const SNAT_PRIORITY: i32 = 99;

/// The table.
pub(crate) fn table() -> Table {
    use Field::{Address, Port, Protocol};
    let set = |name: &str, key: &[Field], data| Set {
        name: name.to_owned(),
        key: key.to_vec(),
        data,
    };
    let pod = || SetData::Value(vec![Address, Port]);
    let by_port = [Load::Protocol, Load::DestinationPort];
    let by_address = [
        Load::DestinationAddress,
        Load::Protocol,
        Load::DestinationPort,
    ];
    let loopback = Ipv4Net::new_assert([127, 0, 0, 0].into(), 8);
    let local = || vec![to_this_node(), jump("dispatch")];
    let itself = vec![
        translated(),
        in_set(&[Load::SourceAddress, Load::DestinationAddress], HAIRPIN),
        Statement::Masquerade,
    ];
    // A pod cannot answer 127.0.0.1.
    let from_loopback = vec![
        translated(),
        in_network(Load::SourceAddress, loopback, true),
        Statement::Masquerade,
    ];
    Table {
        name: TABLE.to_owned(),
        sets: vec![
            set(ANY, &[Protocol, Port], pod()),
            set(ONE, &[Address, Protocol, Port], pod()),
            set(HAIRPIN, &[Address, Address], SetData::None),
        ],
        chains: vec![
            chain(
                "dispatch",
                vec![vec![dnat(&by_address, ONE)], vec![dnat(&by_port, ANY)]],
            ),
            nat_chain("prerouting", Hook::Prerouting, DNAT_PRIORITY, vec![local()]),
            nat_chain("output", Hook::Output, DNAT_PRIORITY, vec![local()]),
            nat_chain(
                "postrouting",
                Hook::Postrouting,
                SNAT_PRIORITY,
                vec![itself, from_loopback],
            ),
        ],
    }
}

/// The elements of a pod.
pub(crate) fn elements(pod: Ipv4Addr, ports: &[PortMapping]) -> Result<Vec<Element>, Sentence> {
    let element = |set: &str, key: Key, data| Element {
        table: TABLE.to_owned(),
        set: set.to_owned(),
        key: key.bytes(),
        data,
    };
    let mut elements = Vec::new();
    for port in ports {
        let by_port = |key: Key| key.protocol(number(port.protocol)).port(port.host_port);
        let target = ElementData::Value(
            Key::default()
                .address(pod)
                .port(port.container_port)
                .bytes(),
        );
        elements.push(match one_address(port)? {
            Some(address) => element(ONE, by_port(Key::default().address(address)), target),
            None => element(ANY, by_port(Key::default()), target),
        });
    }
    if !elements.is_empty() {
        elements.push(element(
            HAIRPIN,
            Key::default().address(pod).address(pod),
            ElementData::None,
        ));
    }
    Ok(elements)
}

/// The only address that the port is on; None for all.
fn one_address(port: &PortMapping) -> Result<Option<Ipv4Addr>, Sentence> {
    let Some(text) = port.host_ip.as_deref().filter(|t| !t.is_empty()) else {
        return Ok(None);
    };
    let address: Ipv4Addr = text
        .parse()
        .map_err(|_| format!("hostIP {text} is not an IPv4 address"))?;
    Ok(Some(address).filter(|a| !a.is_unspecified()))
}

fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(host_ip: Option<&str>) -> PortMapping {
        PortMapping {
            protocol: Protocol::Tcp,
            container_port: 80,
            host_port: 8080,
            host_ip: host_ip.map(str::to_owned),
        }
    }

    #[test]
    fn a_host_address_narrows_the_port() {
        let pod = Ipv4Addr::new(10, 42, 0, 5);
        let sets = |host_ip| {
            elements(pod, &[mapping(host_ip)])
                .unwrap()
                .into_iter()
                .map(|e| e.set)
                .collect::<Vec<_>>()
        };
        assert_eq!(sets(None), [ANY, HAIRPIN]);
        assert_eq!(sets(Some("0.0.0.0")), [ANY, HAIRPIN]);
        assert_eq!(sets(Some("127.0.0.1")), [ONE, HAIRPIN]);
        assert!(elements(pod, &[mapping(Some("::1"))]).is_err());
        assert!(elements(pod, &[]).unwrap().is_empty());
    }
}
