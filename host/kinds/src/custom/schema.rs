//! A structural schema in the form that objects are checked against: read once per definition.
//!
//! Reading takes what it understands and trusts nothing: whether a schema may be used at all is decided
//! by `structural`, which reads the JSON itself.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::format::Format;
use super::pattern::Pattern;

/// A JSON type, named as schemas name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonType {
    Array,
    Boolean,
    Integer,
    Number,
    Object,
    String,
}

/// What makes items of a list distinct.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// Nothing.
    #[default]
    Atomic,
    /// Their value.
    Set,
    /// These fields.
    Map(Vec<String>),
}

/// `additionalProperties`
#[derive(Debug)]
pub(crate) enum Additional {
    /// Anything.
    Any,
    /// Values of this schema.
    Of(Box<Schema>),
}

/// One node of a schema.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    pub(crate) json_type: Option<JsonType>,
    pub(crate) nullable: bool,
    pub(crate) int_or_string: bool,
    pub(crate) preserve_unknown: bool,
    pub(crate) embedded: bool,
    pub(crate) default: Option<Value>,
    pub(crate) properties: BTreeMap<String, Schema>,
    pub(crate) additional: Option<Additional>,
    pub(crate) items: Option<Box<Schema>>,
    pub(crate) list: ListKind,
    pub(crate) checks: Checks,
}

/// What a value has to be beyond its type.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) required: Vec<String>,
    pub(crate) values: Vec<Value>,
    pub(crate) minimum: Option<Limit>,
    pub(crate) maximum: Option<Limit>,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) min_length: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) min_items: Option<u64>,
    pub(crate) max_items: Option<u64>,
    pub(crate) min_properties: Option<u64>,
    pub(crate) max_properties: Option<u64>,
    pub(crate) unique_items: bool,
    pub(crate) pattern: Option<Pattern>,
    /// The name as written, which messages repeat, and what it asks of texts, if it is known.
    pub(crate) format: Option<(String, Option<Format>)>,
    pub(crate) all_of: Vec<Schema>,
    pub(crate) any_of: Vec<Schema>,
    pub(crate) one_of: Vec<Schema>,
    pub(crate) not: Option<Box<Schema>>,
}

/// A bound of a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) at: f64,
    pub(crate) exclusive: bool,
}

impl JsonType {
    /// Reads the name in a schema.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "array" => Self::Array,
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "object" => Self::Object,
            "string" => Self::String,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Object => "object",
            Self::String => "string",
        }
    }
}

impl Schema {
    /// Reads `openAPIV3Schema`.
    pub(crate) fn read(json: &Value) -> Self {
        json.as_object().map(Self::node).unwrap_or_default()
    }

    fn node(map: &Map<String, Value>) -> Self {
        let on = |key: &str| map.get(key).and_then(Value::as_bool).unwrap_or(false);
        let properties = map
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        Self {
            json_type: map
                .get("type")
                .and_then(Value::as_str)
                .and_then(JsonType::parse),
            nullable: on("nullable"),
            int_or_string: on("x-kubernetes-int-or-string"),
            preserve_unknown: on("x-kubernetes-preserve-unknown-fields"),
            embedded: on("x-kubernetes-embedded-resource"),
            default: map.get("default").filter(|value| !value.is_null()).cloned(),
            properties: properties
                .map(|(name, schema)| (name.clone(), Self::read(schema)))
                .collect(),
            additional: additional(map.get("additionalProperties")),
            items: map
                .get("items")
                .filter(|items| items.is_object())
                .map(|items| Box::new(Self::read(items))),
            list: list_kind(map),
            checks: Checks::read(map),
        }
    }

    /// The schema of a property, by name or as one of those not named.
    pub(crate) fn property(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(match &self.additional {
            Some(Additional::Of(schema)) => Some(schema),
            _ => None,
        })
    }
}

fn additional(json: Option<&Value>) -> Option<Additional> {
    match json? {
        Value::Bool(true) => Some(Additional::Any),
        schema @ Value::Object(_) => Some(Additional::Of(Box::new(Schema::read(schema)))),
        _ => None,
    }
}

fn list_kind(map: &Map<String, Value>) -> ListKind {
    match map.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListKind::Set,
        Some("map") => ListKind::Map(texts(map.get("x-kubernetes-list-map-keys"))),
        _ => ListKind::Atomic,
    }
}

fn texts(json: Option<&Value>) -> Vec<String> {
    json.and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

impl Checks {
    fn read(map: &Map<String, Value>) -> Self {
        let count = |key: &str| map.get(key).and_then(Value::as_u64);
        let schemas = |key: &str| -> Vec<Schema> {
            map.get(key)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(Schema::read)
                .collect()
        };
        Self {
            required: texts(map.get("required")),
            values: map
                .get("enum")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
            minimum: limit(map, "minimum", "exclusiveMinimum"),
            maximum: limit(map, "maximum", "exclusiveMaximum"),
            multiple_of: map.get("multipleOf").and_then(Value::as_f64),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            unique_items: map
                .get("uniqueItems")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            pattern: map
                .get("pattern")
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(Pattern::new),
            format: map
                .get("format")
                .and_then(Value::as_str)
                .filter(|name| !name.is_empty())
                .map(|name| (name.to_owned(), Format::parse(name))),
            all_of: schemas("allOf"),
            any_of: schemas("anyOf"),
            one_of: schemas("oneOf"),
            not: map
                .get("not")
                .filter(|not| not.is_object())
                .map(|not| Box::new(Schema::read(not))),
        }
    }
}

fn limit(map: &Map<String, Value>, key: &str, exclusive: &str) -> Option<Limit> {
    let at = map.get(key).and_then(Value::as_f64)?;
    Some(Limit {
        at,
        exclusive: map.get(exclusive).and_then(Value::as_bool).unwrap_or(false),
    })
}
