//! Parsing of JSON bodies into trees while recording keys that occur twice, which a tree cannot hold.

use super::complaints::Complaints;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt::{self, Write};

/// A body, and the keys that occur twice in it.
#[derive(Debug)]
pub struct Parsed {
    /// The body; of keys that occur twice, the last value, over the first where Go decodes it over that.
    pub value: Value,
    /// `duplicate field "spec.replicas"`, as many as [`Complaints`] holds.
    pub duplicates: Vec<String>,
}

/// Parses a body without a type. Of a key that occurs twice, the last value counts.
pub fn parse(raw: &[u8]) -> Result<Parsed, serde_json::Error> {
    parse_with(raw, State::default())
}

/// Parses a body that upstream decodes into a Go struct. A key that occurs twice is decoded over what is there:
/// fields that the second value does not name stay.
pub fn parse_typed(raw: &[u8]) -> Result<Parsed, serde_json::Error> {
    let merges = true;
    parse_with(
        raw,
        State {
            merges,
            ..State::default()
        },
    )
}

fn parse_with(raw: &[u8], mut state: State) -> Result<Parsed, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(raw);
    let value = Tree(&mut state).deserialize(&mut json)?;
    json.end()?;
    Ok(Parsed {
        value,
        duplicates: state.duplicates.into_texts(),
    })
}

#[derive(Default)]
struct State {
    path: String,
    duplicates: Complaints,
    merges: bool,
}

/// Puts a value where another stands, as Go's decoder does: members of objects, and elements of lists by their
/// place, are decoded over those that are there. Costs no more than the second value is large.
fn decode_over(first: &mut Value, second: Value) {
    match (first, second) {
        (Value::Object(first), Value::Object(second)) => {
            for (key, value) in second {
                match first.get_mut(&key) {
                    Some(below) => decode_over(below, value),
                    None => drop(first.insert(key, value)),
                }
            }
        }
        (Value::Array(first), Value::Array(second)) => {
            first.truncate(second.len());
            let mut second = second.into_iter();
            for (below, value) in first.iter_mut().zip(second.by_ref()) {
                decode_over(below, value);
            }
            first.extend(second);
        }
        (first, second) => *first = second,
    }
}

impl State {
    fn note_duplicate(&mut self, key: &str) {
        let Self {
            path, duplicates, ..
        } = self;
        duplicates.note(|| {
            let dot = if path.is_empty() { "" } else { "." };
            format!("duplicate field \"{path}{dot}{key}\"")
        });
    }
}

/// Builds one tree; a seed, so that the path can be carried down.
struct Tree<'a>(&'a mut State);

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
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

    fn visit_f64<E: Error>(self, v: f64) -> Result<Value, E> {
        Number::from_f64(v)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::String(v))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        let depth = self.0.path.len();
        loop {
            // Writing to a String cannot fail.
            let _ = write!(self.0.path, "[{}]", list.len());
            let item = seq.next_element_seed(Tree(self.0))?;
            self.0.path.truncate(depth);
            match item {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let depth = self.0.path.len();
        while let Some(key) = access.next_key::<String>()? {
            if map.contains_key(&key) {
                self.0.note_duplicate(&key);
            }
            if depth > 0 {
                self.0.path.push('.');
            }
            self.0.path.push_str(&key);
            let value = access.next_value_seed(Tree(self.0))?;
            self.0.path.truncate(depth);
            if self.0.merges
                && let Some(first) = map.get_mut(&key)
            {
                decode_over(first, value);
            } else {
                map.insert(key, value);
            }
        }
        Ok(Value::Object(map))
    }
}
