//! A message as a tree, by the schema.
//!
//! Go writes a field that is no pointer even when it is zero; JSON leaves it out. So zeros are left
//! out here too, except for fields known to be pointers ([`super::pointers`]), where zero is a value.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use k3s_base::clock::{rfc3339, rfc3339_micro};
use serde_json::{Map, Value};

use crate::schema::{self, Field, Shape, Type, ValueType};

use super::error::{ProtobufError, Result};
use super::pointers;
use super::wire::{Reader, Wire};

const JSON_SCHEMA_PROPS: &str =
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
/// Schemas nest less deep than this; only hostile bodies do more.
const MAX_DEPTH: usize = 64;

/// A message of a named type.
pub(super) fn message(kind: &Type, bytes: &[u8], depth: usize) -> Result<Value> {
    if depth > MAX_DEPTH {
        return Err(ProtobufError::TooDeep);
    }
    match kind.shape {
        Shape::Struct => {
            let mut map = Map::new();
            fields(kind, 0, bytes, &mut map, depth)?;
            Ok(Value::Object(map))
        }
        Shape::Quantity => Ok(only(bytes, 1)?
            .map(Wire::text)
            .transpose()?
            .map_or(Value::Null, Value::from)),
        Shape::IntOrString => int_or_string(bytes),
        Shape::Time => Ok(time(bytes)?.map_or(Value::Null, |at| rfc3339(at).into())),
        Shape::MicroTime => Ok(time(bytes)?.map_or(Value::Null, |at| rfc3339_micro(at).into())),
        Shape::Any => any(kind, bytes, depth),
    }
}

/// Fields of a struct that stand directly in the message (`path` 0) or in the embedded message at that path.
fn fields(
    kind: &Type,
    path: u8,
    bytes: &[u8],
    map: &mut Map<String, Value>,
    depth: usize,
) -> Result<()> {
    let mut reader = Reader::new(bytes);
    while let Some((tag, wire)) = reader.next()? {
        let mut here = kind.fields().iter().filter(|f| f.embedded_in() == path);
        if let Some(field) = here.find(|f| u64::from(f.tag()) == tag) {
            put(field, wire, map, depth)?;
        } else if let Some(inner) = Field::embedded_below(path, tag)
            && kind.fields().iter().any(|f| f.is_embedded_in(inner))
        {
            fields(kind, inner, wire.bytes()?, map, depth)?;
        }
        // A field of a newer release is dropped, as Go drops it.
    }
    Ok(())
}

fn put(field: &Field, wire: Wire<'_>, map: &mut Map<String, Value>, depth: usize) -> Result<()> {
    let name = field.name();
    match field.value_type() {
        ValueType::List(_) => {
            let item = field.value_type().element().unwrap_or(ValueType::String);
            let slot = map.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            if let Some(list) = slot.as_array_mut() {
                push(item, wire, list, depth)?;
            }
        }
        ValueType::Map(_) => {
            let item = field.value_type().element().unwrap_or(ValueType::String);
            let (key, value) = entry(item, wire.bytes()?, depth)?;
            let slot = map.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Some(entries) = slot.as_object_mut() {
                entries.insert(key, value);
            }
        }
        single => {
            let value = read_value(single, wire, depth)?;
            let is_value = if is_tree(single) {
                // In a tree zero is a value, such as `default: false` of a schema.
                !value.is_null()
            } else {
                !is_zero(&value)
                    || field.always_written()
                    || field.written_as_null()
                    || pointers::contains(name)
            };
            if is_value {
                map.insert(name.to_owned(), value);
            }
        }
    }
    Ok(())
}

fn push(item: ValueType, wire: Wire<'_>, list: &mut Vec<Value>, depth: usize) -> Result<()> {
    let numbers = matches!(item, ValueType::Int32 | ValueType::Int64 | ValueType::Bool);
    match wire {
        Wire::Bytes(packed) if numbers => {
            let mut reader = Reader::new(packed);
            while let Some(number) = reader.packed()? {
                list.push(read_value(item, Wire::Varint(number), depth)?);
            }
        }
        wire => list.push(read_value(item, wire, depth)?),
    }
    Ok(())
}

fn entry(item: ValueType, bytes: &[u8], depth: usize) -> Result<(String, Value)> {
    let mut key = String::new();
    let mut value = None;
    let mut reader = Reader::new(bytes);
    while let Some((tag, wire)) = reader.next()? {
        match tag {
            1 => key = wire.text()?,
            2 => value = Some(read_value(item, wire, depth)?),
            _ => {}
        }
    }
    let missing = || match item {
        ValueType::String | ValueType::Bytes => Value::from(""),
        _ => Value::Null,
    };
    Ok((key, value.unwrap_or_else(missing)))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "Go reads an int32 from the low half of the varint"
)]
fn read_value(kind: ValueType, wire: Wire<'_>, depth: usize) -> Result<Value> {
    Ok(match kind {
        ValueType::String => wire.text()?.into(),
        ValueType::Bytes => STANDARD.encode(wire.bytes()?).into(),
        ValueType::Bool => (wire.integer()? != 0).into(),
        ValueType::Int32 => (wire.integer()? as i32).into(),
        ValueType::Int64 => wire.integer()?.into(),
        ValueType::Double => match wire {
            Wire::Fixed64(bits) => f64::from_bits(bits).into(),
            _ => return Err(ProtobufError::WrongWireType("a double")),
        },
        // A list inside a map is a message of its own (`ExtraValue`).
        ValueType::List(_) => {
            let mut list = Vec::new();
            let mut reader = Reader::new(wire.bytes()?);
            while let Some((_, item)) = reader.next()? {
                push(
                    kind.element().unwrap_or(ValueType::String),
                    item,
                    &mut list,
                    depth,
                )?;
            }
            list.into()
        }
        ValueType::Map(_) => {
            return Err(ProtobufError::NestedMap);
        }
        ValueType::Named(_) => {
            let named = kind.named().ok_or(ProtobufError::NoDefinition)?;
            message(named, wire.bytes()?, depth.saturating_add(1))?
        }
    })
}

fn only(bytes: &[u8], wanted: u64) -> Result<Option<Wire<'_>>> {
    let mut found = None;
    let mut reader = Reader::new(bytes);
    while let Some((tag, wire)) = reader.next()? {
        if tag == wanted {
            found = Some(wire);
        }
    }
    Ok(found)
}

fn int_or_string(bytes: &[u8]) -> Result<Value> {
    let text = only(bytes, 1)?.map(Wire::integer).transpose()? == Some(1);
    if text {
        return Ok(only(bytes, 3)?
            .map(Wire::text)
            .transpose()?
            .unwrap_or_default()
            .into());
    }
    Ok(only(bytes, 2)?
        .map(Wire::integer)
        .transpose()?
        .unwrap_or(0)
        .into())
}

/// The zero time is no time.
fn time(bytes: &[u8]) -> Result<Option<Timestamp>> {
    let number = |tag| {
        only(bytes, tag)?
            .map(Wire::integer)
            .transpose()
            .map(|n| n.unwrap_or(0))
    };
    let (seconds, nanos): (i64, i64) = (number(1)?, number(2)?);
    if seconds == 0 && nanos == 0 {
        return Ok(None);
    }
    let nanos = i32::try_from(nanos).map_err(|_| ProtobufError::TimeOutOfRange)?;
    Timestamp::new(seconds, nanos)
        .map(Some)
        .map_err(|_| ProtobufError::TimeOutOfRange)
}

/// Whether a field holds a tree without fields of its own.
fn is_tree(value_type: ValueType) -> bool {
    let named = value_type.named();
    named.is_some_and(|it| matches!(it.shape, Shape::Any))
}

/// Trees that travel as JSON inside protobuf, and those that hold one of two forms.
fn any(kind: &Type, bytes: &[u8], depth: usize) -> Result<Value> {
    match kind.go_name() {
        "RawExtension" | "FieldsV1" | "JSON" => embedded_json(bytes),
        "JSONSchemaPropsOrArray" => {
            let schemas = each(bytes, 2, |wire| nested_schema(wire, depth))?;
            if schemas.is_empty() {
                return schema_at(bytes, 1, depth);
            }
            Ok(schemas.into())
        }
        "JSONSchemaPropsOrStringArray" => {
            let names = each(bytes, 2, |wire| Ok(wire.text()?.into()))?;
            if names.is_empty() {
                return schema_at(bytes, 1, depth);
            }
            Ok(names.into())
        }
        "JSONSchemaPropsOrBool" => {
            let schema = schema_at(bytes, 2, depth)?;
            if schema.is_null() {
                let allows = only(bytes, 1)?.map(Wire::integer).transpose()?;
                return Ok((allows.unwrap_or(0) != 0).into());
            }
            Ok(schema)
        }
        other => Err(ProtobufError::UnsupportedType(other.to_owned())),
    }
}

/// What every field of the number `wanted` holds.
fn each(bytes: &[u8], wanted: u64, read: impl Fn(Wire<'_>) -> Result<Value>) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    let mut reader = Reader::new(bytes);
    while let Some((tag, wire)) = reader.next()? {
        if tag == wanted {
            found.push(read(wire)?);
        }
    }
    Ok(found)
}

/// The schema in a field; null where the field is missing.
fn schema_at(bytes: &[u8], tag: u64, depth: usize) -> Result<Value> {
    match only(bytes, tag)? {
        Some(wire) => nested_schema(wire, depth),
        None => Ok(Value::Null),
    }
}

fn nested_schema(wire: Wire<'_>, depth: usize) -> Result<Value> {
    let id = schema::by_name(JSON_SCHEMA_PROPS).ok_or(ProtobufError::NoDefinition)?;
    message(id.get(), wire.bytes()?, depth.saturating_add(1))
}

fn embedded_json(bytes: &[u8]) -> Result<Value> {
    match only(bytes, 1)? {
        None => Ok(Value::Null),
        Some(wire) => {
            let raw = wire.bytes()?;
            if raw.is_empty() {
                return Ok(Value::Null);
            }
            serde_json::from_slice(raw).map_err(ProtobufError::EmbeddedJson)
        }
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}
