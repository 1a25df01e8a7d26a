//! Zero values as Go's encoder writes them.
//!
//! Go's structs have no missing fields, only zero ones, and the tag of a field says what becomes of a zero: with
//! `omitempty` it is left out, without it is written, as `null` where it is a nil pointer, list or map. The tags
//! are data (`gen-source/zeros.json`).

use crate::schema::{Field, Shape, Type, ValueType};
use serde_json::{Map, Value};

/// Whether the field is dropped, or Go's encoder would leave it out.
pub(super) fn leaves_no_trace(field: &Field, value: &Value) -> bool {
    match value {
        _ if field.is_dropped() => true,
        Value::Null => !field.written_as_null(),
        Value::Array(list) => list.is_empty() && !field.written_as_null(),
        Value::Object(map) => {
            map.is_empty()
                && !field.written_as_null()
                && matches!(field.value_type(), ValueType::Map(_))
        }
        Value::String(s) => s.is_empty() && field.omits_zero(),
        Value::Bool(b) => !b && field.omits_zero(),
        Value::Number(n) => n.as_i64() == Some(0) && field.omits_zero(),
    }
}

/// Puts in what Go's encoder always writes.
pub(super) fn fill_in(owner: &Type, map: &mut Map<String, Value>) {
    let written = |field: &&Field| field.always_written() || field.written_as_null();
    for field in owner.fields().iter().filter(written) {
        if !map.contains_key(field.name()) {
            let value = if field.written_as_null() {
                Value::Null
            } else {
                zero(field.value_type())
            };
            map.insert(field.name().to_owned(), value);
        }
    }
}

/// The zero value as Go's encoder writes it.
pub(super) fn zero(value_type: ValueType) -> Value {
    match value_type {
        ValueType::String | ValueType::Bytes => Value::from(""),
        ValueType::Bool => Value::Bool(false),
        ValueType::Int32 | ValueType::Int64 | ValueType::Double => Value::from(0),
        ValueType::List(_) => Value::Array(Vec::new()),
        ValueType::Map(_) => Value::Object(Map::new()),
        ValueType::Named(_) => value_type.named().map_or(Value::Null, zero_of),
    }
}

fn zero_of(named: &Type) -> Value {
    match named.shape {
        Shape::Struct => {
            let mut map = Map::new();
            fill_in(named, &mut map);
            Value::Object(map)
        }
        Shape::Quantity => Value::from("0"),
        Shape::IntOrString => Value::from(0),
        Shape::Time | Shape::MicroTime | Shape::Any => Value::Null,
    }
}

/// Brings the zero values of a well-formed tree into the form in which it is stored.
pub(super) fn settle(owner: &Type, map: &mut Map<String, Value>) {
    map.retain(|key, value| {
        let Some(field) = owner.field(key) else {
            return true;
        };
        settle_value(field.value_type(), value);
        if field.stored_as_null() && is_empty(value) {
            *value = Value::Null;
        }
        !leaves_no_trace(field, value)
    });
    fill_in(owner, map);
}

fn settle_value(value_type: ValueType, value: &mut Value) {
    match (value_type, value) {
        (ValueType::Named(_), Value::Object(map)) => {
            if let Some(named) = value_type.named().filter(|t| t.shape == Shape::Struct) {
                settle(named, map);
            }
        }
        (ValueType::List(_), Value::Array(list)) => {
            if let Some(item) = structured(value_type) {
                list.iter_mut().for_each(|value| settle_value(item, value));
            }
        }
        (ValueType::Map(_), Value::Object(map)) => {
            if let Some(item) = structured(value_type) {
                map.values_mut().for_each(|value| settle_value(item, value));
            }
        }
        _ => {}
    }
}

/// The type of the elements, unless these are scalars and so have nothing to settle.
fn structured(value_type: ValueType) -> Option<ValueType> {
    value_type.element().filter(|item| {
        matches!(
            item,
            ValueType::Named(_) | ValueType::List(_) | ValueType::Map(_)
        )
    })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}
