//! A writer of protobuf messages, driven by tables that map keys of the JSON tree to
//! fields.

use serde_json::{Map, Value};

/// How a field is written.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Bool,
    Int,
    Double,
    /// A list of strings.
    Texts,
    /// Any tree, carried as YAML text; JSON is YAML.
    Any,
    /// A list of such.
    Anys,
    /// One message.
    One(&'static Message),
    /// A list of messages.
    Many(&'static Message),
    /// Messages by name: `repeated Named { name = 1; value = 2 }`. With the key `*`, all entries that no
    /// other field takes.
    Named(&'static Message),
}

/// Key in the tree, field number, form.
pub(super) type Field = (&'static str, u32, Kind);

/// How a value becomes a message.
pub(super) enum Message {
    /// Fields by key; entries that start with `x-` go to the extensions' field, unless that is 0.
    Fields(&'static [Field], u32),
    /// `oneof { value = 1; reference = 2 }`, decided by `$ref`.
    RefOr(&'static Message, &'static Message),
    /// Messages around a message, outermost first.
    Wrapped(&'static [u32], &'static Message),
    /// `oneof { schema = 1; boolean = 2 }`
    BoolOr(&'static Message),
    /// `repeated string value = 1`, from one string.
    OneText,
    /// Chosen by the value of a key: messages around, and the message.
    Choice(&'static str, &'static [(&'static str, &'static Message)]),
}

/// Writes the message for a value.
pub(super) fn encode(message: &Message, value: &Value, out: &mut Vec<u8>) {
    match message {
        Message::Fields(fields, extensions) => {
            if let Value::Object(map) = value {
                encode_fields(fields, *extensions, map, out);
            }
        }
        Message::RefOr(plain, reference) => match value.get("$ref") {
            Some(_) => nested(2, out, |out| encode(reference, value, out)),
            None => nested(1, out, |out| encode(plain, value, out)),
        },
        Message::Wrapped(numbers, inner) => wrapped(numbers, inner, value, out),
        Message::BoolOr(schema) => match value {
            Value::Bool(b) => boolean(2, *b, out),
            other => nested(1, out, |out| encode(schema, other, out)),
        },
        Message::OneText => text(1, value.as_str().unwrap_or(""), out),
        Message::Choice(key, choices) => {
            let chosen = value.get(*key).and_then(Value::as_str).unwrap_or("");
            if let Some((_, message)) = choices.iter().find(|(name, _)| *name == chosen) {
                encode(message, value, out);
            }
        }
    }
}

fn wrapped(numbers: &[u32], inner: &Message, value: &Value, out: &mut Vec<u8>) {
    match numbers.split_first() {
        None => encode(inner, value, out),
        Some((number, rest)) => nested(*number, out, |out| wrapped(rest, inner, value, out)),
    }
}

fn encode_fields(fields: &[Field], extensions: u32, map: &Map<String, Value>, out: &mut Vec<u8>) {
    for (key, number, kind) in fields {
        match (*key, kind) {
            ("*", Kind::Named(message)) => {
                let taken = |k: &str| {
                    fields.iter().any(|(key, ..)| *key == k)
                        || (extensions != 0 && k.starts_with("x-"))
                };
                for (name, value) in map.iter().filter(|(k, _)| !taken(k)) {
                    named(*number, name, out, |out| encode(message, value, out));
                }
            }
            (key, kind) => {
                if let Some(value) = map.get(key) {
                    encode_field(*number, *kind, value, out);
                }
            }
        }
    }
    if extensions != 0 {
        for (name, value) in map.iter().filter(|(k, _)| k.starts_with("x-")) {
            named(extensions, name, out, |out| any(value, out));
        }
    }
}

fn encode_field(number: u32, kind: Kind, value: &Value, out: &mut Vec<u8>) {
    let list = || value.as_array().into_iter().flatten();
    match kind {
        Kind::Text => text(number, value.as_str().unwrap_or(""), out),
        Kind::Bool => boolean(number, value == true, out),
        Kind::Int => {
            key(number, 0, out);
            varint(value.as_i64().unwrap_or(0).cast_unsigned(), out);
        }
        Kind::Double => {
            key(number, 1, out);
            out.extend(value.as_f64().unwrap_or(0.0).to_le_bytes());
        }
        Kind::Texts => list()
            .filter_map(Value::as_str)
            .for_each(|s| text(number, s, out)),
        Kind::Any => nested(number, out, |out| any(value, out)),
        Kind::Anys => list().for_each(|v| nested(number, out, |out| any(v, out))),
        Kind::One(message) => nested(number, out, |out| encode(message, value, out)),
        Kind::Many(message) => {
            list().for_each(|v| nested(number, out, |out| encode(message, v, out)))
        }
        Kind::Named(message) => {
            for (name, v) in value.as_object().into_iter().flatten() {
                named(number, name, out, |out| encode(message, v, out));
            }
        }
    }
}

/// `Any { yaml = 2 }`
fn any(value: &Value, out: &mut Vec<u8>) {
    text(2, &format!("{value}\n"), out);
}

fn named(number: u32, name: &str, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    nested(number, out, |out| {
        text(1, name, out);
        nested(2, out, value);
    });
}

/// A message in a field: written behind, then moved to make room for its length.
fn nested(number: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    key(number, 2, out);
    let start = out.len();
    write(out);
    let length = out.len() - start;
    let mut prefix = Vec::with_capacity(5);
    varint(length as u64, &mut prefix);
    out.splice(start..start, prefix);
}

fn text(number: u32, value: &str, out: &mut Vec<u8>) {
    key(number, 2, out);
    varint(value.len() as u64, out);
    out.extend(value.as_bytes());
}

fn boolean(number: u32, value: bool, out: &mut Vec<u8>) {
    key(number, 0, out);
    out.push(u8::from(value));
}

fn key(number: u32, wire_type: u32, out: &mut Vec<u8>) {
    varint(u64::from(number << 3 | wire_type), out);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        // The low seven bits; more follow.
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    static INNER: Message = Message::Fields(&[("on", 3, Kind::Bool)], 0);
    static OUTER: Message = Message::Fields(
        &[
            ("name", 1, Kind::Text),
            ("n", 2, Kind::Int),
            ("*", 4, Kind::Named(&INNER)),
        ],
        15,
    );

    #[test]
    fn writes_the_wire_format() {
        let mut out = Vec::new();
        encode(
            &OUTER,
            &json!({"name": "ab", "n": 300, "k": {"on": true}, "x-a": 1}),
            &mut out,
        );
        let mut want = vec![0x0a, 2, b'a', b'b', 0x10, 0xac, 0x02];
        want.extend([0x22, 7, 0x0a, 1, b'k', 0x12, 2, 0x18, 1]);
        want.extend([
            0x7a, 11, 0x0a, 3, b'x', b'-', b'a', 0x12, 4, 0x12, 2, b'1', b'\n',
        ]);
        assert_eq!(out, want);
    }
}
