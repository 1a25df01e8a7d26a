//! Fields of struct types.

use super::{ValueType, name, value};
use crate::generated::fields;
use k3s_meta::patch::Strategy;

/// How server-side apply merges a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListType {
    /// Not specified, which means atomic.
    Unset,
    /// One value.
    Atomic,
    /// A set of scalars.
    Set,
    /// Items identified by [`Field::list_keys`].
    Map,
}

/// How server-side apply merges a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapType {
    /// Not specified, which means granular.
    Unset,
    /// One value.
    Atomic,
    /// Entries have owners of their own.
    Granular,
}

/// A field of a struct type.
#[derive(Debug)]
pub struct Field {
    name: u16,
    value_type: u16,
    flags: u16,
    keys: u16,
    merge_key: u16,
    embedded_in: u8,
    tag: u16,
}

pub(crate) const fn field(
    name: u16,
    value_type: u16,
    flags: u16,
    keys: u16,
    merge_key: u16,
    embedded_in: u8,
    tag: u16,
) -> Field {
    Field {
        name,
        value_type,
        flags,
        keys,
        merge_key,
        embedded_in,
        tag,
    }
}

impl Field {
    /// The JSON name.
    pub fn name(&self) -> &'static str {
        name(self.name)
    }

    /// The type of the value.
    pub fn value_type(&self) -> ValueType {
        value::at(self.value_type)
    }

    /// Whether the schema demands the field.
    pub fn required(&self) -> bool {
        self.flags & 1 != 0
    }

    /// How server-side apply merges a list.
    pub fn list_type(&self) -> ListType {
        match self.flags >> 1 & 3 {
            0 => ListType::Unset,
            1 => ListType::Atomic,
            2 => ListType::Set,
            _ => ListType::Map,
        }
    }

    /// How server-side apply merges a map.
    pub fn map_type(&self) -> MapType {
        match self.flags >> 3 & 3 {
            0 => MapType::Unset,
            1 => MapType::Atomic,
            _ => MapType::Granular,
        }
    }

    /// Keys that identify items of a [`ListType::Map`].
    pub(crate) fn list_keys(&self) -> impl Iterator<Item = &'static str> {
        fields::KEY_SETS
            .get(usize::from(self.keys))
            .copied()
            .unwrap_or_default()
            .iter()
            .map(|id| name(*id))
    }

    /// How a strategic merge patch treats the field.
    pub fn strategy(&self) -> Strategy {
        let bit = |at: u16| self.flags >> at & 1 != 0;
        Strategy {
            merge: bit(5),
            replace: bit(6),
            retain_keys: bit(7),
        }
    }

    /// Whether Go's encoder leaves the field out when it is zero, empty or false: a plain value, no pointer.
    pub(crate) fn omits_zero(&self) -> bool {
        self.flags >> 8 & 1 != 0
    }

    /// Whether Go's encoder writes the field even when it is zero.
    pub fn always_written(&self) -> bool {
        self.flags >> 9 & 1 != 0
    }

    /// Whether Go's encoder writes the field as `null` when it is missing: a pointer, list or map without
    /// `omitempty`.
    pub fn written_as_null(&self) -> bool {
        self.flags >> 10 & 1 != 0
    }

    /// Whether an empty list or map becomes `null` when it is stored, since protobuf does not tell the two apart.
    pub(crate) fn stored_as_null(&self) -> bool {
        self.flags >> 11 & 1 != 0
    }

    /// Whether the field cannot be set, since it is behind a feature gate that is off (`gen-source/dropped.json`).
    pub(crate) fn is_dropped(&self) -> bool {
        self.flags >> 12 & 1 != 0
    }

    /// The key by which a strategic merge patch matches items.
    pub fn merge_key(&self) -> Option<&'static str> {
        Some(name(self.merge_key)).filter(|key| !key.is_empty())
    }

    /// The protobuf field number; 0 for what protobuf does not carry (`kind`, `apiVersion`).
    pub fn tag(&self) -> u16 {
        self.tag
    }

    /// The message that embeds the field in protobuf, as a path of field numbers of four bits each; 0 where
    /// the field stands in the message of its type.
    pub fn embedded_in(&self) -> u8 {
        self.embedded_in
    }

    /// Whether the field stands in the embedded message at `path`, or in one that this embeds.
    pub fn is_embedded_in(&self, path: u8) -> bool {
        self.embedded_in == path || (self.embedded_in >> 4) == path
    }

    /// The path of what the field `tag` of the message at `path` embeds; `None` where no path leads so far.
    pub fn embedded_below(path: u8, tag: u64) -> Option<u8> {
        let tag = u8::try_from(tag).ok()?;
        match path {
            0 => Some(tag),
            1..=15 if tag < 16 => Some((path << 4) | tag),
            _ => None,
        }
    }
}
