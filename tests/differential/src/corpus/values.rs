//! What is put in the place of a value: missing, null, of another type, at a boundary, odd, or another good one.

use std::collections::BTreeMap;

use k3s_api::schema::{Shape, ValueType};
use k3s_base::Random;
use serde_json::{Value, json};

use super::edit::Change;
use super::sites::Site;

/// Values that occur in the samples, by the name of their field.
#[derive(Debug, Default)]
pub(super) struct Vocabulary(BTreeMap<String, Vec<Value>>);

const STRINGS: &[&str] = &[
    "",
    " ",
    "other",
    "Other",
    "other-1.example.com",
    "-other",
    "other_name",
    "example.com/other",
    "example.com/",
    "UPPER",
    "a b",
    "ä",
    "a\nb",
    "80",
    "true",
    "../up",
    "/abs",
    "/abs/../up",
    "a:b",
    "*",
    "*.example.com",
    "10.0.0.1",
    "010.0.0.1",
    "10.0.0.0/8",
    "::1",
    "fd00::/64",
    "$(A)",
    "Never",
    "Always",
];
const INTEGERS: &[i64] = &[
    -1,
    0,
    1,
    2,
    7,
    60,
    100,
    101,
    256,
    511,
    1024,
    8080,
    65535,
    65536,
    100_000,
    2_147_483_647,
    2_147_483_648,
    -2_147_483_648,
    9_223_372_036_854_775_807,
];
const QUANTITIES: &[&str] = &[
    "0",
    "1",
    "-1",
    "100m",
    "0.1",
    "1.5",
    ".5",
    "5.",
    "1e3",
    "1E3",
    "1E",
    "1k",
    "1K",
    "1Ki",
    "1Mi",
    "1500Mi",
    "0.0001",
    "1.0000000001",
    "1n",
    "100u",
    "12e-3",
    "+1",
    "1 Gi",
    "1GB",
    "abc",
    "",
    "9223372036854775808",
    "1e30",
    "0.5Gi",
    "1024Mi",
    "01",
    "1i",
];
const TIMES: &[&str] = &[
    "2020-01-01T00:00:00Z",
    "2020-01-01T02:00:00+02:00",
    "2020-01-01T00:00:00.123456Z",
    "2020-01-01",
    "yesterday",
    "",
];
const KEYS: &[&str] = &[
    "",
    "other",
    "example.com/other",
    "kubernetes.io/other",
    "bad key",
    "-bad",
    "a/b/c",
    "UPPER.example.com/a",
    "..",
    ".hidden",
];
/// Longer than any name, label or annotation key may be.
const LONG: usize = 300;

impl Vocabulary {
    /// Adds all that stands in `sites`.
    pub(crate) fn learn(&mut self, sites: &[Site]) {
        for site in sites {
            let Some(value) = &site.value else { continue };
            if value.is_array() || value.is_object() && site.value_type.named().is_none() {
                continue;
            }
            let known = self.0.entry(site.field.clone()).or_default();
            if !known.contains(value) {
                known.push(value.clone());
            }
        }
    }

    fn any(&self, field: &str, random: &Random) -> Option<Value> {
        let known = self.0.get(field)?;
        known.get(below(random, known.len())).cloned()
    }
}

pub(crate) fn below(random: &Random, bound: usize) -> usize {
    let bound = u64::try_from(bound).unwrap_or(u64::MAX);
    usize::try_from(random.below(bound)).unwrap_or(0)
}

pub(crate) fn pick<'a, T: ?Sized>(random: &Random, from: &'a [&'a T]) -> Option<&'a T> {
    from.get(below(random, from.len())).copied()
}

/// A change of this place.
pub(crate) fn change(site: &Site, vocabulary: &Vocabulary, random: &Random) -> Change {
    let is_present = site.value.is_some();
    match random.below(20) {
        0..3 if is_present => Change::Remove,
        3 => Change::Set(Value::Null),
        4 => Change::Set(wrong_type(site.value_type, random)),
        5 if is_present => Change::RepeatKey(value(site.value_type, random)),
        6..10 => match vocabulary.any(&site.field, random) {
            Some(known) => Change::Set(known),
            None => Change::Set(value(site.value_type, random)),
        },
        _ => typed(site, random),
    }
}

fn typed(site: &Site, random: &Random) -> Change {
    match (&site.value, site.value_type) {
        (Some(Value::Array(list)), _) => of_list(list, random),
        (Some(Value::Object(map)), ValueType::Map(_)) if random.below(4) > 0 => {
            let key = match random.below(12) {
                0 => "k".repeat(LONG),
                _ => pick(random, KEYS).unwrap_or_default().to_owned(),
            };
            let member = map.values().next().cloned();
            Change::Insert(key, member.unwrap_or_else(|| json!("x")))
        }
        (Some(Value::Object(_)), _) if random.below(2) == 0 => {
            Change::Insert("unknownField".into(), json!("x"))
        }
        _ => Change::Set(value(site.value_type, random)),
    }
}

fn of_list(list: &[Value], random: &Random) -> Change {
    match random.below(6) {
        0 => Change::Set(json!([])),
        1 => Change::Set(json!([null])),
        2 => Change::Set(json!(["x"])),
        3 => Change::Set(json!([{}])),
        4 => Change::Set(list.iter().rev().cloned().collect()),
        _ => Change::RepeatMember,
    }
}

/// A value of the type, good or not.
fn value(value_type: ValueType, random: &Random) -> Value {
    match value_type {
        ValueType::String => string(random),
        ValueType::Bytes => {
            json!(pick(random, &["", "eA==", "!!!", "eA", "x"]).unwrap_or_default())
        }
        ValueType::Bool => json!(random.below(2) == 0),
        ValueType::Int32 | ValueType::Int64 => {
            json!(
                INTEGERS
                    .get(below(random, INTEGERS.len()))
                    .copied()
                    .unwrap_or(0)
            )
        }
        ValueType::Double => json!(1.5),
        ValueType::List(_) => {
            let element = value_type.element().unwrap_or(ValueType::String);
            json!([value(element, random)])
        }
        ValueType::Map(_) => {
            let element = value_type.element().unwrap_or(ValueType::String);
            json!({pick(random, KEYS).unwrap_or_default(): value(element, random)})
        }
        ValueType::Named(_) => named(value_type, random),
    }
}

fn string(random: &Random) -> Value {
    match random.below(24) {
        0 => json!("x".repeat(LONG)),
        1 => json!("x".repeat(64)),
        _ => json!(pick(random, STRINGS).unwrap_or_default()),
    }
}

fn named(value_type: ValueType, random: &Random) -> Value {
    let Some(schema) = value_type.named() else {
        return Value::Null;
    };
    match schema.shape {
        Shape::Quantity => match random.below(8) {
            0 => json!(5),
            1 => json!(1.5),
            _ => json!(pick(random, QUANTITIES).unwrap_or_default()),
        },
        Shape::IntOrString => match random.below(2) {
            0 => value(ValueType::Int32, random),
            _ => {
                let odd = [
                    "80", "50%", "150%", "-1%", "http", "Bad_Name", "", "5%%", "a--b", "0",
                ];
                json!(pick(random, &odd).unwrap_or_default())
            }
        },
        Shape::Time | Shape::MicroTime => json!(pick(random, TIMES).unwrap_or_default()),
        Shape::Any => json!({"any": ["thing"]}),
        Shape::Struct => of_struct(schema.fields(), random),
    }
}

/// Empty, or with one or two of its fields.
fn of_struct(fields: &[k3s_api::schema::Field], random: &Random) -> Value {
    let mut object = serde_json::Map::new();
    for _ in 0..random.below(3) {
        if let Some(field) = fields.get(below(random, fields.len())) {
            let value = match field.value_type() {
                // One level is enough to reach what validation asks about.
                ValueType::Named(_)
                    if field
                        .value_type()
                        .named()
                        .is_some_and(|t| t.shape == Shape::Struct) =>
                {
                    json!({})
                }
                other => value(other, random),
            };
            object.insert(field.name().into(), value);
        }
    }
    Value::Object(object)
}

fn wrong_type(value_type: ValueType, random: &Random) -> Value {
    let all = [
        json!("text"),
        json!(5),
        json!(1.5),
        json!(true),
        json!({}),
        json!([]),
        json!({"a": 1}),
    ];
    let is_wrong = |value: &&Value| match value_type {
        ValueType::String | ValueType::Bytes => !value.is_string(),
        ValueType::Bool => !value.is_boolean(),
        ValueType::Int32 | ValueType::Int64 | ValueType::Double => !value.is_i64(),
        ValueType::List(_) => !value.is_array(),
        ValueType::Map(_) | ValueType::Named(_) => !value.is_object(),
    };
    let wrong: Vec<&Value> = all.iter().filter(is_wrong).collect();
    pick(random, &wrong).cloned().unwrap_or(Value::Null)
}
