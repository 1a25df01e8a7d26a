//! Values with a form of their own: quantities, times, numbers, base64.

use super::error::Misfit;
use k3s_meta::Quantity;
use serde_json::{Number, Value};

/// What a JSON value is called in Go's type errors.
pub(super) fn json_kind(v: &Value) -> &'static str {
    match v {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Rewrites a quantity in canonical form.
pub(super) fn quantity(v: &mut Value) -> Result<(), Misfit> {
    let parsed = match &*v {
        Value::String(s) => Quantity::parse(s.trim()),
        Value::Null => Ok(Quantity::ZERO),
        other => Quantity::parse(&other.to_string()),
    };
    let text = parsed?.to_string();
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

const SECONDS_LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
const MICRO_LAYOUT: &str = "2006-01-02T15:04:05.000000Z07:00";

/// Rewrites a time in UTC, with whole seconds or microseconds.
pub(super) fn time(v: &mut Value, micro: bool) -> Result<(), Misfit> {
    let Value::String(text) = v else {
        return Err(Misfit::value(v, "string"));
    };
    let layout = if micro { MICRO_LAYOUT } else { SECONDS_LAYOUT };
    let unreadable = || Misfit::Time {
        text: text.clone(),
        layout,
    };
    if !is_rfc3339(text) {
        return Err(unreadable());
    }
    let parsed: jiff::Timestamp = text.parse().map_err(|_| unreadable())?;
    let normal = if micro {
        parsed.strftime("%Y-%m-%dT%H:%M:%S.%6fZ")
    } else {
        parsed.strftime("%Y-%m-%dT%H:%M:%SZ")
    };
    let normal = normal.to_string();
    if *text != normal {
        *v = Value::String(normal);
    }
    Ok(())
}

/// Whether the text has the form of RFC 3339. The parser used afterwards also accepts other forms of
/// ISO 8601, which upstream refuses.
fn is_rfc3339(text: &str) -> bool {
    const SEPARATORS: [(usize, u8); 5] = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    const SECONDS_END: usize = 19;
    let has_form = |(at, byte): (usize, u8)| {
        let separator = SEPARATORS.iter().find(|(index, _)| *index == at);
        separator.map_or(byte.is_ascii_digit(), |(_, wanted)| byte == *wanted)
    };
    let Some(rest) = text.get(SECONDS_END..) else {
        return false;
    };
    let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let is_offset =
        zone.len() == 6 && zone.starts_with(['+', '-']) && zone.as_bytes().get(3) == Some(&b':');
    let mut date_and_time = text.bytes().take(SECONDS_END).enumerate();
    date_and_time.all(has_form) && (zone == "Z" || is_offset)
}

/// Checks padded standard base64, as Go's decoder does; line breaks inside are dropped.
pub(super) fn base64(v: &mut Value) -> Result<(), Misfit> {
    let Value::String(text) = v else {
        return Ok(());
    };
    let illegal = |at: usize| Err(Misfit::Base64 { at });
    let (mut symbols, mut padding) = (0_usize, 0_usize);
    for (at, b) in text.bytes().enumerate() {
        match b {
            b'\r' | b'\n' => {}
            b'=' if symbols % 4 >= 2 && padding < 4 - symbols % 4 => padding += 1,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => symbols += 1,
            _ => return illegal(at),
        }
    }
    if (symbols + padding) % 4 != 0 {
        return illegal(text.len());
    }
    if text.contains(['\r', '\n']) {
        text.retain(|c| c != '\r' && c != '\n');
    }
    Ok(())
}
