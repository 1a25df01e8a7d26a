//! The `x-kubernetes-` keys and what they go with.

use k3s_meta::field::{self, ErrorList, Path};
use serde_json::{Map, Value};

use super::{flag, properties, text};

pub(super) fn check(map: &Map<String, Value>, path: &Path, errors: &mut ErrorList) {
    if flag(map, "x-kubernetes-int-or-string") {
        for key in [
            "x-kubernetes-preserve-unknown-fields",
            "x-kubernetes-embedded-resource",
        ] {
            if flag(map, key) {
                let detail = "must be false if x-kubernetes-int-or-string is true";
                errors.push(field::invalid(&path.child(key), true, detail));
            }
        }
        if !text(map, "type").is_empty() {
            let detail = "must be empty if x-kubernetes-int-or-string is true";
            errors.push(field::invalid(
                &path.child("type"),
                text(map, "type"),
                detail,
            ));
        }
    }
    let kind = text(map, "x-kubernetes-list-type");
    if !kind.is_empty() {
        list_type(map, kind, path, errors);
    }
    let map_type = text(map, "x-kubernetes-map-type");
    if !map_type.is_empty() {
        let at = path.child("x-kubernetes-map-type");
        if !matches!(map_type, "atomic" | "granular") {
            errors.push(field::not_supported(&at, map_type, &["atomic", "granular"]));
        }
        if text(map, "type") != "object" {
            let detail = "must be object if x-kubernetes-map-type is specified";
            errors.push(field::invalid(
                &path.child("type"),
                text(map, "type"),
                detail,
            ));
        }
    }
    let keys = keys(map);
    if kind != "map" && !keys.is_empty() {
        let at = path.child("x-kubernetes-list-type");
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        errors.push(if kind.is_empty() {
            field::required(&at, detail)
        } else {
            field::invalid(&at, kind, detail)
        });
    }
}

fn keys(map: &Map<String, Value>) -> Vec<&str> {
    let list = map
        .get("x-kubernetes-list-map-keys")
        .and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn list_type(map: &Map<String, Value>, kind: &str, path: &Path, errors: &mut ErrorList) {
    let at = path.child("x-kubernetes-list-type");
    if !matches!(kind, "atomic" | "set" | "map") {
        errors.push(field::not_supported(&at, kind, &["atomic", "map", "set"]));
    }
    if text(map, "type") != "array" {
        let detail = "must be array if x-kubernetes-list-type is specified";
        errors.push(field::invalid(
            &path.child("type"),
            text(map, "type"),
            detail,
        ));
        return;
    }
    let Some(items) = map.get("items").and_then(Value::as_object) else {
        return;
    };
    match kind {
        "map" => map_keys(map, items, path, errors),
        "set" => set_items(items, path, errors),
        _ => {}
    }
}

/// Items of sets are compared whole, so they must not be merged in parts.
fn set_items(items: &Map<String, Value>, path: &Path, errors: &mut ErrorList) {
    let at = path.child("items");
    if flag(items, "nullable") {
        let detail = "forbidden when x-kubernetes-list-type is \"set\"";
        errors.push(field::forbidden(&at.child("nullable"), detail));
    }
    if text(items, "type") == "object" && text(items, "x-kubernetes-map-type") != "atomic" {
        let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
        errors.push(field::invalid(
            &at.child("x-kubernetes-map-type"),
            text(items, "x-kubernetes-map-type"),
            detail,
        ));
    }
    if text(items, "type") == "array"
        && !matches!(text(items, "x-kubernetes-list-type"), "" | "atomic")
    {
        let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
        errors.push(field::invalid(
            &at.child("x-kubernetes-list-type"),
            text(items, "x-kubernetes-list-type"),
            detail,
        ));
    }
}

fn map_keys(
    map: &Map<String, Value>,
    items: &Map<String, Value>,
    path: &Path,
    errors: &mut ErrorList,
) {
    let keys = keys(map);
    let at = path.child("x-kubernetes-list-map-keys");
    if keys.is_empty() {
        errors.push(field::required(
            &at,
            "must not be empty if x-kubernetes-list-type is map",
        ));
    }
    if text(items, "type") != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(field::invalid(
            &path.child("items").child("type"),
            text(items, "type"),
            detail,
        ));
    }
    let required: Vec<&str> = items
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (index, key) in keys.iter().enumerate() {
        if keys.iter().take(index).any(|other| other == key) {
            errors.push(field::duplicate(&at.index(index), *key));
        }
        let Some((_, property)) = properties(items).find(|(name, _)| *name == key) else {
            let detail = "entries must all be names of item properties";
            errors.push(field::invalid(&at.index(index), *key, detail));
            continue;
        };
        let property = property.as_object();
        let below = path.child("items").child("properties").key(key);
        let kind = property
            .map(|property| text(property, "type"))
            .unwrap_or_default();
        if matches!(kind, "array" | "object") {
            let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.push(field::invalid(&below.child("type"), kind, detail));
        }
        let has_default = property.is_some_and(|property| property.contains_key("default"));
        if !has_default && !required.contains(key) {
            let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(field::required(&below.child("default"), detail));
        }
    }
}
