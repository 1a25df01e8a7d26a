//! Tables, chains, sets and elements.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::NftError;

/// The name of every table of this product starts with it; no other table is used.
pub(super) const OWNER_PREFIX: &str = "k3s-";

/// Which packets a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// A table of this product.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId {
    family: Family,
    name: Arc<str>,
}

impl TableId {
    /// Names a table; the name must start with [`OWNER_PREFIX`].
    pub fn new(family: Family, name: &str) -> Result<Self, NftError> {
        if name.starts_with(OWNER_PREFIX) {
            Ok(Self {
                family,
                name: name.into(),
            })
        } else {
            Err(NftError::NotOurs(name.to_owned()))
        }
    }

    /// Its family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            Family::Ipv4 => "ip",
            Family::Ipv6 => "ip6",
        };
        write!(f, "{family} {}", self.name)
    }
}

/// The hook of a base chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// Before routing.
    Prerouting,
    /// Towards this machine.
    Input,
    /// Through this machine.
    Forward,
    /// From this machine.
    Output,
    /// After routing.
    Postrouting,
}

/// The type of a base chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChainKind {
    /// Accept, drop, reject, mark.
    Filter,
    /// Translate addresses; sees only the first packet of a flow.
    Nat,
}

/// Where a base chain is in a packet's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BaseChain {
    /// Its type.
    pub kind: ChainKind,
    /// The hook at which it runs.
    pub hook: Hook,
    /// Smaller runs earlier.
    pub priority: i32,
}

/// A chain; without `base` it is reached by jump or goto only. Base chains accept by default.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Its hook.
    pub base: Option<BaseChain>,
}

/// What happens to a packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Let it pass this hook's chain.
    Accept,
    /// Drop it.
    Drop,
    /// Return to the calling chain.
    Return,
    /// Call a chain, then continue here.
    Jump(String),
    /// Continue in a chain without returning.
    Goto(String),
}

/// One part of a key or of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// An IP protocol number.
    Protocol,
    /// A transport port.
    Port,
    /// A number in host order (mark, index).
    Number,
    /// The name of an interface.
    Interface,
}

impl Field {
    /// Bytes of the value itself.
    #[must_use]
    pub fn width(self) -> usize {
        match self {
            Self::Protocol => 1,
            Self::Port => 2,
            Self::Ipv4 | Self::Number => 4,
            Self::Ipv6 | Self::Interface => 16,
        }
    }

    /// Bytes that it occupies in registers and keys.
    pub(super) fn padded(self) -> usize {
        self.width().next_multiple_of(4)
    }
}

/// What a set's elements lead to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SetData {
    /// Nothing: membership only.
    None,
    /// A verdict.
    Verdict,
    /// Values of these parts.
    Value(Vec<Field>),
}

/// A set, map or verdict map.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// The parts of its key.
    pub key: Vec<Field>,
    /// What elements lead to.
    pub data: SetData,
    /// Elements are ranges. Only for keys of two parts or more.
    pub interval: bool,
    /// Rules may add elements, which expire after this time unless the rule has another.
    pub dynamic: Option<Duration>,
    /// Most elements; the kernel refuses more.
    pub size: Option<u32>,
}

impl Set {
    /// A plain set or map.
    #[must_use]
    pub fn new(name: &str, key: &[Field], data: SetData) -> Self {
        Self {
            name: name.to_owned(),
            key: key.to_vec(),
            data,
            interval: false,
            dynamic: None,
            size: None,
        }
    }

    /// Elements are ranges.
    #[must_use]
    pub fn intervals(self) -> Self {
        Self {
            interval: true,
            ..self
        }
    }

    /// Rules may add elements.
    #[must_use]
    pub fn dynamic(self, timeout: Duration, size: u32) -> Self {
        Self {
            dynamic: Some(timeout),
            size: Some(size),
            ..self
        }
    }

    /// Bytes of a key.
    #[must_use]
    pub fn key_len(&self) -> usize {
        key_len(&self.key)
    }
}

/// Bytes of a key made of `fields`: every part of a concatenation fills whole registers.
pub(super) fn key_len(fields: &[Field]) -> usize {
    match fields {
        [one] => one.width(),
        many => many.iter().map(|f| f.padded()).sum(),
    }
}

/// What an element leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Data {
    /// Membership only.
    None,
    /// A verdict.
    Verdict(Verdict),
    /// A value, as a key is written.
    Value(Vec<u8>),
}

/// An element of a set or map.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Element {
    /// Its key; see [`super::Key`].
    pub key: Vec<u8>,
    /// In interval sets: the last key of the range.
    pub key_end: Option<Vec<u8>>,
    /// What it leads to.
    pub data: Data,
    /// How long until it expires.
    pub expires: Option<Duration>,
    /// Free text of at most 120 bytes, which names the owner.
    pub comment: Option<String>,
}

impl Element {
    /// A member of a set.
    #[must_use]
    pub fn member(key: impl Into<Vec<u8>>) -> Self {
        Self {
            key: key.into(),
            key_end: None,
            data: Data::None,
            expires: None,
            comment: None,
        }
    }

    /// An entry of a verdict map.
    #[must_use]
    pub fn verdict(key: impl Into<Vec<u8>>, verdict: Verdict) -> Self {
        Self {
            data: Data::Verdict(verdict),
            ..Self::member(key)
        }
    }

    /// An entry of a map.
    #[must_use]
    pub fn value(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self {
            data: Data::Value(value.into()),
            ..Self::member(key)
        }
    }

    /// The same with a comment.
    #[must_use]
    pub fn with_comment(self, comment: impl Into<String>) -> Self {
        Self {
            comment: Some(comment.into()),
            ..self
        }
    }
}
