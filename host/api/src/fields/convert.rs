//! What upstream's `runtime.FromUnstructured` does with values that are not of the type of their field: how it puts
//! a tree that a strategic merge patch made into a Go struct.

use super::error::Misfit;
use crate::schema::{Shape, ValueType};
use serde_json::{Number, Value};

/// A number as the integer that Go converts it to: one of 64 bits is cut to 32 without a word.
pub(super) fn integer(number: &Number, wanted: ValueType) -> Result<Number, Misfit> {
    let whole = number.as_i64().or_else(|| whole(number.as_f64()?));
    let Some(whole) = whole else {
        return Err(cannot_convert("float64", wanted));
    };
    Ok(match wanted {
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

/// Why a value cannot be put into the field's type.
pub(super) fn refusal(wanted: ValueType, value: &Value) -> Misfit {
    let found = reflect_kind(value);
    let text = match wanted {
        ValueType::Map(_) => format!("cannot restore map from {found}"),
        ValueType::List(_) | ValueType::Bytes => format!("cannot restore slice from {found}"),
        ValueType::Named(_) if wanted.named().is_some_and(|t| t.shape == Shape::Struct) => {
            format!("cannot restore struct from: {found}")
        }
        // Go converts integers to text, which this is not meant to do.
        ValueType::String if found == "int64" => return cannot_convert(found, wanted),
        scalar => format!("unrecognized type: {}", scalar.go_text()),
    };
    Misfit::Unconverted(text)
}

fn cannot_convert(found: &str, wanted: ValueType) -> Misfit {
    Misfit::Unconverted(format!("cannot convert {found} to {}", wanted.go_text()))
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
