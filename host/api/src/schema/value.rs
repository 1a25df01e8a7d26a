//! Types of values.

use super::{Type, TypeId, type_at};
use crate::generated::fields;

/// A field's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// Text.
    String,
    /// Base64 in JSON.
    Bytes,
    /// True or false.
    Bool,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
    /// Floating point.
    Double,
    /// A named type.
    Named(u16),
    /// A list; the index leads to the item's type.
    List(u16),
    /// A map from strings; the index leads to the value's type.
    Map(u16),
}

pub(super) fn at(id: u16) -> ValueType {
    fields::VALUE_TYPES
        .get(usize::from(id))
        .copied()
        .unwrap_or(ValueType::String)
}

impl ValueType {
    /// The type of a list's items or a map's values.
    pub fn element(self) -> Option<ValueType> {
        match self {
            Self::List(id) | Self::Map(id) => Some(at(id)),
            _ => None,
        }
    }

    /// The named type, if it is one.
    pub fn named(self) -> Option<&'static Type> {
        match self {
            Self::Named(id) => Some(type_at(id)),
            _ => None,
        }
    }

    /// The id of the named type, if it is one.
    pub fn type_id(self) -> Option<TypeId> {
        match self {
            Self::Named(id) => Some(TypeId(id)),
            _ => None,
        }
    }

    /// The type as Go prints it: `int32`, `[]v1.Container`, `map[string]string`.
    pub fn go_text(self) -> String {
        match self {
            Self::String => "string".to_owned(),
            Self::Bytes => "[]uint8".to_owned(),
            Self::Bool => "bool".to_owned(),
            Self::Int32 => "int32".to_owned(),
            Self::Int64 => "int64".to_owned(),
            Self::Double => "float64".to_owned(),
            Self::Named(id) => type_at(id).go_qualified().to_owned(),
            Self::List(id) => format!("[]{}", at(id).go_text()),
            Self::Map(id) => format!("map[string]{}", at(id).go_text()),
        }
    }
}
