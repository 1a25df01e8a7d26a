//! Values with a form of their own: quantities, times, numbers, base64.

use super::error::Misfit;
use super::time::{self, Layout};
use k3s_meta::Quantity;
use k3s_meta::base64::{Alphabet, illegal_byte};
use serde_json::{Number, Value};

/// Rewrites a quantity as upstream does.
pub(super) fn quantity(v: &mut Value) -> Result<(), Misfit> {
    let parsed = match &*v {
        Value::String(s) => Quantity::written(s.trim()),
        Value::Null => Ok("0".to_owned()),
        other => Quantity::written(&other.to_string()),
    };
    let text = parsed?;
    if v.as_str() != Some(&text) {
        *v = Value::String(text);
    }
    Ok(())
}

/// An integer of 32 bits or a string.
pub(super) fn int_or_string(v: &Value) -> Result<(), Misfit> {
    match v {
        Value::String(_) => Ok(()),
        Value::Number(n) if int32(n) => Ok(()),
        Value::Number(n) => Err(Misfit::Value {
            found: format!("number {n}"),
            wanted: "int32",
        }),
        other => Err(Misfit::value(other, "int32")),
    }
}

pub(super) fn int32(n: &Number) -> bool {
    n.as_i64().is_some_and(|n| i32::try_from(n).is_ok())
}

pub(super) fn int64(n: &Number) -> bool {
    n.is_i64()
}

/// Rewrites a time in UTC, with whole seconds or microseconds.
pub(super) fn time(v: &mut Value, layout: Layout) -> Result<(), Misfit> {
    let Value::String(text) = v else {
        return Err(Misfit::value(v, "string"));
    };
    let parsed = time::parse(text, layout)?;
    let normal = match layout {
        Layout::Micro => parsed.strftime("%Y-%m-%dT%H:%M:%S.%6fZ"),
        Layout::Seconds => parsed.strftime("%Y-%m-%dT%H:%M:%SZ"),
    };
    let normal = normal.to_string();
    if *text != normal {
        *v = Value::String(normal);
    }
    Ok(())
}

/// Checks padded standard base64, as Go's decoder does; line breaks inside are dropped.
pub(super) fn base64(v: &mut Value) -> Result<(), Misfit> {
    let Value::String(text) = v else {
        return Ok(());
    };
    if let Some(at) = illegal_byte(text.as_bytes(), Alphabet::Standard) {
        return Err(Misfit::Base64 { at });
    }
    if text.contains(['\r', '\n']) {
        text.retain(|c| c != '\r' && c != '\n');
    }
    Ok(())
}
