//! Values with a form of their own: quantities, times, numbers, base64.

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

/// `json: cannot unmarshal bool into Go value of type int32`: what types with a decoder of their own say,
/// which do not know the field they stand in.
fn bare(v: &Value, go_type: &str) -> String {
    format!(
        "json: cannot unmarshal {} into Go value of type {go_type}",
        json_kind(v)
    )
}

/// Rewrites a quantity in canonical form.
pub(super) fn quantity(v: &mut Value) -> Result<(), String> {
    let parsed = match &*v {
        Value::String(s) => Quantity::parse(s.trim()),
        Value::Null => Ok(Quantity::ZERO),
        other => Quantity::parse(&other.to_string()),
    };
    let text = parsed.map_err(|e| e.to_string())?.to_string();
    if v.as_str() != Some(&text) {
        *v = Value::String(text);
    }
    Ok(())
}

/// An integer of 32 bits or a string.
pub(super) fn int_or_string(v: &Value) -> Result<(), String> {
    match v {
        Value::String(_) => Ok(()),
        Value::Number(n) if int32(n) => Ok(()),
        Value::Number(n) => Err(format!(
            "json: cannot unmarshal number {n} into Go value of type int32"
        )),
        other => Err(bare(other, "int32")),
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
pub(super) fn time(v: &mut Value, micro: bool) -> Result<(), String> {
    let Value::String(text) = v else {
        return Err(bare(v, "string"));
    };
    let layout = if micro { MICRO_LAYOUT } else { SECONDS_LAYOUT };
    let unreadable = || {
        format!(
            "parsing time {q} as {layout:?}: cannot parse {q} as \"2006\"",
            q = k3s_meta::quote::quote(text)
        )
    };
    if !rfc3339_shape(text) {
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

/// RFC 3339 proper: the parser behind would also take other ISO 8601 forms, which upstream refuses.
fn rfc3339_shape(text: &str) -> bool {
    let bytes = text.as_bytes();
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let zone = text
        .get(19..)
        .map(|rest| rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit()));
    separators
        .iter()
        .all(|(at, want)| bytes.get(*at) == Some(want))
        && bytes
            .iter()
            .take(19)
            .enumerate()
            .all(|(i, b)| b.is_ascii_digit() || separators.iter().any(|(at, _)| *at == i))
        && zone.is_some_and(|z| {
            z == "Z"
                || (z.len() == 6 && z.starts_with(['+', '-']) && z.as_bytes().get(3) == Some(&b':'))
        })
}

/// Checks padded standard base64, as Go's decoder does; line breaks inside are dropped.
pub(super) fn base64(v: &mut Value) -> Result<(), String> {
    let Value::String(text) = v else {
        return Ok(());
    };
    let illegal = |at: usize| Err(format!("illegal base64 data at input byte {at}"));
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
