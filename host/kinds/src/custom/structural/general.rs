//! What OpenAPI has and schemas of custom resources do not.

use std::collections::HashMap;

use k3s_base::error::Sentence;
use k3s_meta::field::{self, ErrorList, Path};
use serde_json::{Map, Value};

use super::{JUNCTORS, flag, merging, properties, text};
use crate::custom::pattern;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
/// Keys that must not be there at all.
const UNSUPPORTED: [(&str, &str); 6] = [
    ("$ref", "$ref is not supported"),
    ("patternProperties", "patternProperties is not supported"),
    ("definitions", "definitions is not supported"),
    ("id", "id is not supported"),
    ("additionalItems", "additionalItems is not supported"),
    ("dependencies", "dependencies is not supported"),
];
/// What has to be a number where it is given.
const NUMBERS: [&str; 3] = ["minimum", "maximum", "multipleOf"];
/// What has to be a whole number that is not negative.
const COUNTS: [&str; 6] = [
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
];
const BOOLEANS: [&str; 7] = [
    "nullable",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "uniqueItems",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
];

/// What was found in a schema.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) errors: ErrorList,
    /// Whether something stands in it that keeps it from being read as a structure.
    pub(super) unreadable: bool,
    /// What is wrong with each pattern met so far: generated schemas repeat a few of them thousands of times,
    /// and compiling one is the dearest part of the check.
    patterns: HashMap<String, Option<Sentence>>,
}

impl Findings {
    fn malformed(&mut self, path: &Path, value: &Value, detail: &str) {
        self.unreadable = true;
        self.errors.push(field::invalid(path, value, detail));
    }
}

/// Checks a node and everything below.
pub(super) fn node(schema: &Value, path: &Path, found: &mut Findings) {
    let Some(map) = schema.as_object() else {
        found.malformed(path, schema, "must be a schema");
        return;
    };
    forbidden(map, path, found);
    types(map, path, found);
    values(map, path, found);
    pattern(map, path, found);
    if map.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let at = path.child("x-kubernetes-preserve-unknown-fields");
        found
            .errors
            .push(field::invalid(&at, false, "must be true or undefined"));
    }
    if map
        .get("x-kubernetes-validations")
        .and_then(Value::as_array)
        .is_some_and(|rules| !rules.is_empty())
    {
        let detail = "validation rules in CEL are not evaluated by this server, and ignoring them would let invalid objects in: remove them to use this definition";
        found.errors.push(field::forbidden(
            &path.child("x-kubernetes-validations"),
            detail,
        ));
    }
    merging::check(map, path, &mut found.errors);
    children(map, path, found);
}

fn children(map: &Map<String, Value>, path: &Path, found: &mut Findings) {
    match map.get("items") {
        Some(Value::Array(_)) => {
            let detail = "items must be a schema object and not an array";
            found
                .errors
                .push(field::forbidden(&path.child("items"), detail));
        }
        Some(items) => node(items, &path.child("items"), found),
        None => {}
    }
    match map.get("additionalProperties") {
        Some(Value::Bool(false)) => {
            let detail = "additionalProperties cannot be set to false";
            found.errors.push(field::forbidden(
                &path.child("additionalProperties"),
                detail,
            ));
        }
        Some(Value::Bool(true)) | None => {}
        Some(inner) => node(inner, &path.child("additionalProperties"), found),
    }
    if map.contains_key("additionalProperties") && properties(map).next().is_some() {
        let detail = "additionalProperties and properties are mutual exclusive";
        found.errors.push(field::forbidden(
            &path.child("additionalProperties"),
            detail,
        ));
    }
    for (name, property) in properties(map) {
        node(property, &path.child("properties").key(name), found);
    }
    for junctor in JUNCTORS {
        for (index, inner) in map
            .get(junctor)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
        {
            node(inner, &path.child(junctor).index(index), found);
        }
    }
    if let Some(not) = map.get("not") {
        node(not, &path.child("not"), found);
    }
}

fn forbidden(map: &Map<String, Value>, path: &Path, found: &mut Findings) {
    for (key, detail) in UNSUPPORTED {
        if map
            .get(key)
            .is_some_and(|value| !k3s_meta::tree::is_empty(value))
        {
            found.unreadable = true;
            found
                .errors
                .push(field::forbidden(&path.child(key), detail));
        }
    }
    if flag(map, "uniqueItems") {
        let detail =
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        found
            .errors
            .push(field::forbidden(&path.child("uniqueItems"), detail));
    }
}

fn types(map: &Map<String, Value>, path: &Path, found: &mut Findings) {
    let at = path.child("type");
    match map.get("type") {
        None => {}
        Some(Value::String(kind)) if kind.is_empty() || TYPES.contains(&kind.as_str()) => {}
        Some(Value::String(kind)) if kind == "null" => {
            found.errors.push(field::not_supported(&at, kind, &TYPES));
            let detail = "type cannot be set to null, use nullable as an alternative";
            found.errors.push(field::forbidden(&at, detail));
        }
        Some(Value::String(kind)) => found.errors.push(field::not_supported(&at, kind, &TYPES)),
        Some(other) => found.malformed(&at, other, "must be a string"),
    }
    for key in BOOLEANS {
        if let Some(value) = map
            .get(key)
            .filter(|value| !value.is_boolean() && !value.is_null())
        {
            found.malformed(&path.child(key), value, "must be a boolean");
        }
    }
}

fn values(map: &Map<String, Value>, path: &Path, found: &mut Findings) {
    for key in NUMBERS {
        if let Some(value) = map
            .get(key)
            .filter(|value| !value.is_number() && !value.is_null())
        {
            found.malformed(&path.child(key), value, "must be a number");
        }
    }
    for key in COUNTS {
        if let Some(value) = map
            .get(key)
            .filter(|value| value.as_u64().is_none() && !value.is_null())
        {
            found.errors.push(field::invalid(
                &path.child(key),
                value,
                "must be greater than or equal to 0",
            ));
        }
    }
    for key in [
        "required",
        "enum",
        "allOf",
        "anyOf",
        "oneOf",
        "x-kubernetes-list-map-keys",
    ] {
        if let Some(value) = map
            .get(key)
            .filter(|value| !value.is_array() && !value.is_null())
        {
            found.malformed(&path.child(key), value, "must be a list");
        }
    }
    if let Some(value) = map
        .get("properties")
        .filter(|value| !value.is_object() && !value.is_null())
    {
        found.malformed(&path.child("properties"), value, "must be a map");
    }
}

fn pattern(map: &Map<String, Value>, path: &Path, found: &mut Findings) {
    let text = text(map, "pattern");
    if text.is_empty() {
        return;
    }
    if !found.patterns.contains_key(text) {
        let outcome = pattern::compile(text).err();
        found.patterns.insert(text.to_owned(), outcome);
    }
    if let Some(Some(error)) = found.patterns.get(text) {
        let detail = format!("must be a valid regular expression, but isn't: {error}");
        found
            .errors
            .push(field::invalid(&path.child("pattern"), text, detail));
    }
}
