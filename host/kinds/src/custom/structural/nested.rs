//! Inside `allOf`, `anyOf`, `oneOf` and `not`, schemas may only validate: structure, defaults and
//! descriptions belong outside.

use k3s_meta::field::{self, ErrorList, Path};
use serde_json::{Map, Value, json};

use super::{JUNCTORS, flag, properties, text};

/// Checks the junctors of a node that describes structure.
pub(super) fn check(map: &Map<String, Value>, path: &Path, errors: &mut ErrorList) {
    let any_of = map.get("anyOf") == Some(&int_or_string());
    let first = map
        .get("allOf")
        .and_then(|all| all.get(0))
        .and_then(|first| first.get("anyOf"));
    let free = flag(map, "x-kubernetes-int-or-string");
    let excused = match (free && any_of, free && first == Some(&int_or_string())) {
        (true, _) => Excused::AnyOf,
        (_, true) => Excused::FirstOfAll,
        _ => Excused::Nothing,
    };
    junctors(map, path, excused, errors);
}

/// The one way in which types may be named inside: an integer or a string.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Excused {
    Nothing,
    AnyOf,
    FirstOfAll,
}

fn int_or_string() -> Value {
    json!([{"type": "integer"}, {"type": "string"}])
}

fn junctors(map: &Map<String, Value>, path: &Path, excused: Excused, errors: &mut ErrorList) {
    for junctor in JUNCTORS {
        let members = map
            .get(junctor)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate();
        for (index, member) in
            members.filter_map(|(index, member)| Some((index, member.as_object()?)))
        {
            if junctor == "anyOf" && excused == Excused::AnyOf {
                continue;
            }
            let inner = match (junctor, index, excused) {
                ("allOf", 0, Excused::FirstOfAll) => Excused::AnyOf,
                _ => Excused::Nothing,
            };
            value_only(member, &path.child(junctor).index(index), inner, errors);
        }
    }
    if let Some(not) = map.get("not").and_then(Value::as_object) {
        value_only(not, &path.child("not"), Excused::Nothing, errors);
    }
}

fn value_only(map: &Map<String, Value>, path: &Path, excused: Excused, errors: &mut ErrorList) {
    for key in ["type", "title", "description"] {
        if !text(map, key).is_empty() {
            errors.push(field::forbidden(
                &path.child(key),
                "must be empty to be structural",
            ));
        }
    }
    for key in ["default", "additionalProperties"] {
        if map.get(key).is_some_and(|value| !value.is_null()) {
            errors.push(field::forbidden(
                &path.child(key),
                "must be undefined to be structural",
            ));
        }
    }
    for key in [
        "nullable",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
    ] {
        if flag(map, key) {
            errors.push(field::forbidden(
                &path.child(key),
                "must be false to be structural",
            ));
        }
    }
    junctors(map, path, excused, errors);
    if let Some(items) = map.get("items").and_then(Value::as_object) {
        value_only(items, &path.child("items"), Excused::Nothing, errors);
    }
    for (name, property) in properties(map) {
        let at = path.child("properties").key(name);
        if name == "metadata" {
            errors.push(field::forbidden(
                &at,
                "must not be specified in a nested context",
            ));
        }
        if let Some(property) = property.as_object() {
            value_only(property, &at, Excused::Nothing, errors);
        }
    }
}
