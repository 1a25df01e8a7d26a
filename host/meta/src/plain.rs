//! Trees as they are written, whatever their keys.
//!
//! `serde_json::Value` takes a map whose first key is [`RESERVED_KEY`] for a text of JSON that stands in the place of
//! the map: with a limit of nesting of its own, and with other content than the one that was checked. So what comes
//! from outside is read as [`Plain`], and no object with such a key is stored.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A key with a meaning of its own in `serde_json`.
pub const RESERVED_KEY: &str = "$serde_json::private::RawValue";

/// Whether a map in the value has the key [`RESERVED_KEY`].
#[must_use]
pub fn has_reserved_key(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.contains_key(RESERVED_KEY) || map.values().any(has_reserved_key),
        Value::Array(list) => list.iter().any(has_reserved_key),
        _ => false,
    }
}

/// A tree that is read without regard to its keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plain(pub(crate) Value);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree).map(Self)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    /// JSON has no infinities.
    fn visit_f64<E: Error>(self, v: f64) -> Result<Value, E> {
        Ok(Number::from_f64(v).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::String(v))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(Self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Plain(item)) = seq.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, Plain(value))) = access.next_entry::<String, Plain>()? {
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_is_read_as_it_is_written() {
        let value = json!({"i": -3, "u": u64::MAX, "f": 1.5, "n": null, "b": [true, "x", {}], "t": "\u{7}"});
        let text = value.to_string();
        assert_eq!(serde_json::from_str::<Plain>(&text).unwrap(), Plain(value));
    }

    #[test]
    fn a_key_is_only_a_key() {
        let inner = r#"{"a": [1]}"#;
        let text = json!({"x": [{(RESERVED_KEY): inner}]}).to_string();
        let Plain(read) = serde_json::from_str(&text).unwrap();
        assert_eq!(read["x"][0][RESERVED_KEY], inner);
        assert!(has_reserved_key(&read));
        // If this changes, the rule can go.
        let other: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(other["x"][0]["a"], json!([1]));
        assert!(!has_reserved_key(&other));
    }
}
