//! What upstream's `runtime.FromUnstructured` does with values that are not of the type of their field: how it puts
//! a tree that a strategic merge patch made into a Go struct.

use super::error::Misfit;
use crate::schema::{Shape, ValueType};
use serde_json::{Number, Value};

/// A number as the integer that Go converts it to: one of 64 bits is cut to 32 without a word. None for a fraction.
pub(super) fn integer(number: &Number, wanted: ValueType) -> Option<Number> {
    let whole = number.as_i64().or_else(|| whole(number.as_f64()?))?;
    Some(match wanted {
        // Go's conversion keeps the lower bits.
        ValueType::Int32 => Number::from(i32::from_le_bytes(lower_half(whole))),
        _ => Number::from(whole),
    })
}

fn lower_half(number: i64) -> [u8; 4] {
    let [a, b, c, d, ..] = number.to_le_bytes();
    [a, b, c, d]
}

/// A float without a fraction, within the integers that floats tell apart.
fn whole(float: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let is_whole = float.fract() == 0.0 && float.abs() <= EXACT;
    is_whole
        .then(|| format!("{float:.0}").parse().ok())
        .flatten()
}

/// Why a value cannot be put into the field's type, which Go prints as `go_text`.
pub(super) fn refusal(wanted: ValueType, go_text: &str, value: &Value) -> Misfit {
    let found = reflect_kind(value);
    let is_struct = wanted.named().is_some_and(|t| t.shape == Shape::Struct);
    let text = match (wanted, found) {
        (ValueType::Map(_), _) => format!("cannot restore map from {found}"),
        (ValueType::List(_) | ValueType::Bytes, _) => format!("cannot restore slice from {found}"),
        (ValueType::Named(_), _) if is_struct => format!("cannot restore struct from: {found}"),
        // Go could convert these, which is not meant to happen.
        (ValueType::String, "int64") | (ValueType::Int32 | ValueType::Int64, "float64") => {
            format!("cannot convert {found} to {go_text}")
        }
        (scalar, _) => format!("unrecognized type: {}", scalar.go_text()),
    };
    Misfit::Unconverted(text)
}

/// The kind of a value in a tree as Go's `reflect` names it.
fn reflect_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}
