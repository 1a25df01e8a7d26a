//! Rules, as lists of statements. A statement either decides, acts, or ends the rule because the
//! packet does not match.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::model::Verdict;

/// The statements of one rule, in order.
pub type Rule = Vec<Statement>;

/// A value of a packet, or one computed for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Load {
    /// Network source address (4 or 16 bytes, by the table's family).
    SourceAddress,
    /// Network destination address.
    DestinationAddress,
    /// Transport protocol number (1 byte).
    Protocol,
    /// Transport source port (2 bytes).
    SourcePort,
    /// Transport destination port (2 bytes).
    DestinationPort,
    /// The packet's mark (4 bytes, host order).
    Mark,
    /// Name of the interface that it came in by (16 bytes).
    InInterface,
    /// Name of the interface that it leaves by (16 bytes).
    OutInterface,
    /// Connection tracking state bits (4 bytes, host order).
    CtState,
    /// Connection tracking status bits (4 bytes, host order).
    CtStatus,
    /// Type of the destination address in the routing table (4 bytes, host order).
    DestinationType,
    /// Type of the source address in the routing table (4 bytes, host order).
    SourceType,
    /// A number in `offset .. offset + modulus`, at random (4 bytes, host order).
    Random {
        /// How many numbers.
        modulus: u32,
        /// The smallest.
        offset: u32,
    },
    /// The numbers of such a range, in turn.
    RoundRobin {
        /// How many numbers.
        modulus: u32,
        /// The smallest.
        offset: u32,
    },
    /// These bytes.
    Constant(Vec<u8>),
    /// The map's value for this key; ends the rule if there is none.
    Lookup {
        /// The key's parts.
        key: Vec<Load>,
        /// The map's name.
        map: String,
        /// Bytes of the value.
        width: usize,
    },
}

/// How a comparison decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Go on if equal.
    Equal,
    /// Go on if different.
    NotEqual,
}

/// The answer to the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// ICMP port unreachable.
    PortUnreachable,
    /// TCP reset.
    TcpReset,
}

/// What a rule does to an element of a dynamic set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Update {
    /// Add it unless it exists.
    Add,
    /// Add it, or start its lifetime again.
    Refresh,
    /// Remove it if it exists.
    Delete,
}

/// One step of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Statement {
    /// Ends the rule unless the (masked) value compares.
    Compare {
        /// What to compare.
        load: Load,
        /// Bits that count; None for all.
        mask: Option<Vec<u8>>,
        /// The comparison.
        comparison: Comparison,
        /// The value to compare with.
        value: Vec<u8>,
    },
    /// Ends the rule unless the key is in the set (or is not, with `negate`).
    InSet {
        /// The key's parts.
        key: Vec<Load>,
        /// The set's name.
        set: String,
        /// Go on if it is not there.
        negate: bool,
    },
    /// Executes the map's verdict for the key; continues if there is none.
    VerdictMap {
        /// The key's parts.
        key: Vec<Load>,
        /// The map's name.
        map: String,
    },
    /// Changes a dynamic set or map.
    Update {
        /// The change.
        update: Update,
        /// The set's name.
        set: String,
        /// The key's parts.
        key: Vec<Load>,
        /// The value. A map needs one even for [`Update::Delete`], which ignores it.
        data: Option<Load>,
        /// Lifetime of the element; None for the set's own.
        timeout: Option<Duration>,
    },
    /// Translates the destination of the flow: an address, followed by a port if `port` is set.
    Dnat {
        /// The new destination.
        to: Load,
        /// Whether `to` has a port behind the address.
        port: bool,
    },
    /// Redirects the flow to a port of this machine.
    Redirect(u16),
    /// Masquerades the flow: its source becomes the address of the interface that it leaves by, at a
    /// random port.
    Masquerade,
    /// mark = (mark & keep) ^ flip.
    SetMark {
        /// Bits that stay.
        keep: u32,
        /// Bits to flip afterwards.
        flip: u32,
    },
    /// Counts packets and bytes.
    Counter,
    /// Rejects the packet with an answer.
    Reject(Rejection),
    /// Ends the rule with a verdict.
    Verdict(Verdict),
}

/// Constructors of the usual matches.
impl Statement {
    /// Goes on if the load has exactly this value.
    #[must_use]
    pub fn equals(load: Load, value: impl Into<Vec<u8>>) -> Self {
        Self::Compare {
            load,
            mask: None,
            comparison: Comparison::Equal,
            value: value.into(),
        }
    }

    /// Goes on if the load has any other value.
    #[must_use]
    pub fn differs(load: Load, value: impl Into<Vec<u8>>) -> Self {
        Self::Compare {
            load,
            mask: None,
            comparison: Comparison::NotEqual,
            value: value.into(),
        }
    }

    /// Goes on if the address is (or is not) in the IPv4 network.
    #[must_use]
    pub fn in_network(load: Load, network: Ipv4Addr, prefix_len: u8, inside: bool) -> Self {
        let mask = u32::MAX
            .checked_shl(32 - u32::from(prefix_len.min(32)))
            .unwrap_or(0);
        Self::Compare {
            load,
            mask: Some(mask.to_be_bytes().to_vec()),
            comparison: if inside {
                Comparison::Equal
            } else {
                Comparison::NotEqual
            },
            value: (u32::from(network) & mask).to_be_bytes().to_vec(),
        }
    }

    /// Goes on if any of these bits of a host-order number is set (or none, with `inside` false).
    #[must_use]
    pub fn any_bit(load: Load, bits: u32, inside: bool) -> Self {
        Self::Compare {
            load,
            mask: Some(bits.to_ne_bytes().to_vec()),
            comparison: if inside {
                Comparison::NotEqual
            } else {
                Comparison::Equal
            },
            value: vec![0; 4],
        }
    }

    /// Goes on if the packet came in by (or leaves by) the interface, or does not.
    #[must_use]
    pub fn interface(load: Load, name: &str, inside: bool) -> Self {
        let mut value = name.as_bytes().to_vec();
        value.resize(16, 0);
        let comparison = if inside {
            Comparison::Equal
        } else {
            Comparison::NotEqual
        };
        Self::Compare {
            load,
            mask: None,
            comparison,
            value,
        }
    }
}

/// Bits of [`Load::CtState`].
pub mod ct_state {
    /// Belongs to a flow that was seen in both directions.
    pub const ESTABLISHED: u32 = 2;
    /// Caused by a flow (an ICMP error).
    pub const RELATED: u32 = 4;
    /// First packet of a flow.
    pub const NEW: u32 = 8;
}

/// Bits of [`Load::CtStatus`].
pub mod ct_status {
    /// The flow's destination was translated.
    pub const DNAT: u32 = 1 << 5;
}

/// Value of [`Load::DestinationType`]: an address of this machine.
pub const ADDRESS_LOCAL: u32 = 2;
