//! Writing packet filter rules of the `net` contract.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use k3s_plugin_sdk::cni::net::{
    Base, Chain, ChainKind, Comparison, Hook, Load, Lookup, Membership, Statement, Verdict,
};

/// Bit of the tracking status that says that the destination was translated (`IPS_DST_NAT`).
const STATUS_DNAT: u32 = 1 << 5;
/// `RTN_LOCAL`.
const ADDRESS_LOCAL: u32 = 2;

/// A chain that translates addresses, on a hook.
pub(crate) fn nat_chain(
    name: &str,
    hook: Hook,
    priority: i32,
    rules: Vec<Vec<Statement>>,
) -> Chain {
    Chain {
        name: name.to_owned(),
        base: Some(Base {
            kind: ChainKind::Nat,
            hook,
            priority,
        }),
        rules,
    }
}

/// A chain that others jump to.
pub(crate) fn chain(name: &str, rules: Vec<Vec<Statement>>) -> Chain {
    Chain {
        name: name.to_owned(),
        base: None,
        rules,
    }
}

/// The address is in the network, or is not.
pub(crate) fn in_network(load: Load, network: Ipv4Net, inside: bool) -> Statement {
    Statement::Compare(Comparison {
        load,
        mask: network.netmask().octets().to_vec(),
        negate: !inside,
        value: network.network().octets().to_vec(),
    })
}

/// The flow's destination was translated.
pub(crate) fn translated() -> Statement {
    let mask = STATUS_DNAT.to_ne_bytes().to_vec();
    Statement::Compare(Comparison {
        load: Load::CtStatus,
        mask,
        negate: true,
        value: vec![0; 4],
    })
}

/// The packet is for this machine.
pub(crate) fn to_this_node() -> Statement {
    let value = ADDRESS_LOCAL.to_ne_bytes().to_vec();
    Statement::Compare(Comparison {
        load: Load::DestinationType,
        mask: Vec::new(),
        negate: false,
        value,
    })
}

pub(crate) fn jump(chain: &str) -> Statement {
    Statement::Verdict(Verdict::Jump(chain.to_owned()))
}

pub(crate) fn in_set(key: &[Load], set: &str) -> Statement {
    Statement::InSet(Membership {
        key: key.to_vec(),
        set: set.to_owned(),
        negate: false,
    })
}

pub(crate) fn dnat(key: &[Load], set: &str) -> Statement {
    Statement::Dnat(Lookup {
        key: key.to_vec(),
        set: set.to_owned(),
    })
}

/// A key or value, part by part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    pub(crate) fn address(self, address: Ipv4Addr) -> Self {
        self.part(&address.octets())
    }

    pub(crate) fn protocol(self, number: u8) -> Self {
        self.part(&[number])
    }

    pub(crate) fn port(self, port: u16) -> Self {
        self.part(&port.to_be_bytes())
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0
    }

    fn part(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}
