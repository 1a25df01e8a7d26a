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
        while let Some((Key(key), Plain(value))) = access.next_entry::<Key, Plain>()? {
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// A key. YAML has others than texts: upstream writes them as the texts of what YAML 1.1 takes them for, so that
/// `yes` without quotes is the key `true` (`convertToJSONableObject` of `sigs.k8s.io/yaml`).
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeyText).map(Self)
    }
}

struct KeyText;

impl Visitor<'_> for KeyText {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bool<E>(self, v: bool) -> Result<String, E> {
        Ok(v.to_string())
    }

    fn visit_i64<E>(self, v: i64) -> Result<String, E> {
        Ok(v.to_string())
    }

    fn visit_u64<E>(self, v: u64) -> Result<String, E> {
        Ok(v.to_string())
    }

    fn visit_f64<E>(self, v: f64) -> Result<String, E> {
        Ok(float_key(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<String, E> {
        Ok(v.to_owned())
    }

    fn visit_string<E>(self, v: String) -> Result<String, E> {
        Ok(v)
    }

    fn visit_unit<E: Error>(self) -> Result<String, E> {
        Err(E::custom("Unsupported map key of type: null"))
    }
}

/// As Go's `FormatFloat` with `'g'`, the shortest precision and 32 bits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "upstream rounds keys to 32 bits"
)]
fn float_key(v: f64) -> String {
    let v = v as f32;
    let is_short = v == 0.0 || (1e-4..1e6).contains(&v.abs());
    if v.is_nan() {
        return ".nan".to_owned();
    }
    if v.is_infinite() {
        return if v > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let exponential = format!("{v:e}");
    match exponential.split_once('e') {
        Some((digits, exponent)) if !is_short => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
        _ => v.to_string(),
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
    fn keys_are_the_texts_of_what_yaml_takes_them_for() {
        for (key, want) in [
            ("yes", "true"),
            ("Off", "false"),
            ("\"yes\"", "yes"),
            ("'1'", "1"),
            ("0400", "256"),
            ("-3", "-3"),
            ("1.10", "1.1"),
            ("1e7", "1e+07"),
            ("0.00001", "1e-05"),
            ("a.b", "a.b"),
        ] {
            let read = crate::yaml::parse(format!("{{{key}: x}}").as_bytes()).unwrap();
            assert_eq!(read.value, json!({want: "x"}), "{key}");
        }
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
