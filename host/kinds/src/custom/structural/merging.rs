//! How lists and maps are merged: `x-kubernetes-list-type`, `x-kubernetes-map-type` and what they go with.

use std::collections::HashSet;

use k3s_meta::field::{self, ErrorList, Path};
use serde_json::{Map, Value};

use super::{flag, text};

const LIST: &str = "x-kubernetes-list-type";
const MAP: &str = "x-kubernetes-map-type";
const KEYS: &str = "x-kubernetes-list-map-keys";
const LIST_TYPES: [&str; 3] = ["atomic", "set", "map"];
const MAP_TYPES: [&str; 2] = ["atomic", "granular"];

pub(super) fn check(map: &Map<String, Value>, path: &Path, errors: &mut ErrorList) {
    let (list_type, map_type) = (given(map, LIST), given(map, MAP));
    if let Some(map_type) = map_type {
        type_is(map, "object", MAP, path, errors);
        if !MAP_TYPES.contains(&map_type) {
            errors.push(field::not_supported(&path.child(MAP), map_type, &MAP_TYPES));
        }
    }
    let items = map.get("items").and_then(Value::as_object);
    if let Some(list_type) = list_type {
        let is_list = type_is(map, "array", LIST, path, errors);
        if let Some(items) = items.filter(|_| is_list && list_type == "set") {
            atomic_items(items, &path.child("items"), errors);
        }
        if !LIST_TYPES.contains(&list_type) {
            let at = path.child(LIST);
            errors.push(field::not_supported(&at, list_type, &LIST_TYPES));
        }
    }
    let keys = texts(map, KEYS);
    let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
    match list_type {
        None if !keys.is_empty() => errors.push(field::required(&path.child(LIST), detail)),
        Some(other) if !keys.is_empty() && other != "map" => {
            errors.push(field::invalid(&path.child(LIST), other, detail));
        }
        _ => {}
    }
    if list_type == Some("map") {
        self::keys(map, &keys, path, errors);
    }
    if let (Some(kind @ ("set" | "map")), Some(items)) = (list_type, items) {
        definite(items, kind, &keys, &path.child("items"), errors);
    }
}

/// A text that is given, the empty one included.
fn given<'v>(map: &'v Map<String, Value>, key: &str) -> Option<&'v str> {
    map.get(key).and_then(Value::as_str)
}

fn texts<'v>(map: &'v Map<String, Value>, key: &str) -> Vec<&'v str> {
    let list = map.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

fn type_is(
    map: &Map<String, Value>,
    wanted: &str,
    because: &str,
    path: &Path,
    errors: &mut ErrorList,
) -> bool {
    let (kind, at) = (text(map, "type"), path.child("type"));
    let detail = format!("must be {wanted} if {because} is specified");
    if kind.is_empty() {
        errors.push(field::required(&at, detail));
    } else if kind != wanted {
        errors.push(field::invalid(&at, kind, detail));
    }
    kind == wanted
}

/// Items of sets are compared whole, so they must not be merged in parts.
fn atomic_items(items: &Map<String, Value>, path: &Path, errors: &mut ErrorList) {
    let own = items.get(LIST).unwrap_or(&Value::Null);
    let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let wrong = match text(items, "type") {
        "array" if given(items, LIST).is_some_and(|own| own != "atomic") => LIST,
        "object" if given(items, MAP) != Some("atomic") => MAP,
        _ => return,
    };
    // Upstream shows the type of lists for both.
    errors.push(field::invalid(&path.child(wrong), own, detail));
}

/// The properties of its items that tell the items of a list apart.
fn keys(map: &Map<String, Value>, keys: &[&str], path: &Path, errors: &mut ErrorList) {
    let at = path.child(KEYS);
    if keys.is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        errors.push(field::required(&at, detail));
    }
    let below = path.child("items");
    let Some(items) = map.get("items").and_then(Value::as_object) else {
        if !map.contains_key("items") {
            let detail = "must have a schema if x-kubernetes-list-type is map";
            errors.push(field::required(&below, detail));
        }
        return;
    };
    let kind = text(items, "type");
    if kind != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(field::invalid(&below.child("type"), kind, detail));
        return;
    }
    let mut seen = HashSet::new();
    for key in keys {
        match property(items, key) {
            Some(property) if matches!(text(property, "type"), "array" | "object") => {
                let detail =
                    "must be a scalar type if parent array's x-kubernetes-list-type is map";
                let at = below.child("properties").key(key).child("type");
                errors.push(field::invalid(&at, kind, detail));
            }
            Some(_) => {}
            None => {
                let detail = "entries must all be names of item properties";
                errors.push(field::invalid(&at, map.get(KEYS), detail));
            }
        }
        if !seen.insert(key) {
            let detail = "must not contain duplicate entries";
            errors.push(field::invalid(&at, map.get(KEYS), detail));
        }
    }
}

fn property<'v>(items: &'v Map<String, Value>, name: &str) -> Option<&'v Map<String, Value>> {
    items.get("properties")?.get(name)?.as_object()
}

/// Items of sets and maps, and the keys of the latter, always have a value.
fn definite(
    items: &Map<String, Value>,
    kind: &str,
    keys: &[&str],
    path: &Path,
    errors: &mut ErrorList,
) {
    if flag(items, "nullable") {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {kind}");
        errors.push(field::forbidden(&path.child("nullable"), detail));
    }
    if kind != "map" {
        return;
    }
    let required: HashSet<&str> = texts(items, "required").into_iter().collect();
    for key in keys {
        let Some(property) = property(items, key) else {
            continue;
        };
        let at = path.child("properties").key(key);
        if !required.contains(key) && !property.contains_key("default") {
            let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(field::required(&at.child("default"), detail));
        }
        if flag(property, "nullable") {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(field::forbidden(&at.child("nullable"), detail));
        }
    }
}
