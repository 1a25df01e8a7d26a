//! Whether a schema is structural, and otherwise fit to be used.
//!
//! The rules and their wording are those of `apiextensions-apiserver/pkg/apiserver/schema/validation.go`
//! (structure) and `pkg/apis/apiextensions/validation/validation.go` (what OpenAPI has and schemas of
//! custom resources do not).

mod completeness;
mod extensions;
mod general;
mod merging;
mod nested;

use k3s_meta::field::{self, ErrorList, Path};
use serde_json::{Map, Value};

use super::schema::Schema;
use super::validate;

/// Where in the schema a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Junctors whose members may only validate values, not describe structure.
const JUNCTORS: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// Errors of `openAPIV3Schema`: of its structure, or of its defaults where that is sound, and of what OpenAPI
/// has and schemas of custom resources do not.
pub(crate) fn check(schema: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut found = general::Findings::default();
    general::node(schema, path, &mut found);
    if !found.unreadable {
        node(schema, Level::Root, path, &mut errors);
        if errors.is_empty() {
            defaults(schema, path, true, &mut errors);
        }
    }
    errors.append(found.errors);
    errors
}

fn flag(map: &Map<String, Value>, key: &str) -> bool {
    map.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn text<'v>(map: &'v Map<String, Value>, key: &str) -> &'v str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn properties(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    map.get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

/// `validateStructuralInvariants`
fn node(schema: &Value, level: Level, path: &Path, errors: &mut ErrorList) {
    let Some(map) = schema.as_object() else {
        return;
    };
    let kind = text(map, "type");
    if kind == "array" && !map.contains_key("items") {
        errors.push(field::required(&path.child("items"), "must be specified"));
    }
    if let Some(items) = map.get("items") {
        node(items, Level::Item, &path.child("items"), errors);
    }
    for (name, property) in properties(map) {
        node(
            property,
            Level::Field,
            &path.child("properties").key(name),
            errors,
        );
    }
    if let Some(additional) = map.get("additionalProperties") {
        let at = path.child("additionalProperties");
        if level == Level::Root {
            errors.push(field::forbidden(&at, "must not be used at the root"));
        }
        node(additional, Level::Field, &at, errors);
    }
    extensions::check(map, path, errors);
    nested::check(map, path, errors);
    completeness::check(map, path, errors);
    type_of(map, level, path, errors);
    object_fields(map, level, path, errors);
}

fn type_of(map: &Map<String, Value>, level: Level, path: &Path, errors: &mut ErrorList) {
    let (kind, at) = (text(map, "type"), path.child("type"));
    if flag(map, "x-kubernetes-embedded-resource") && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(if kind.is_empty() {
            field::required(&at, detail)
        } else {
            field::invalid(&at, kind, detail)
        });
        return;
    }
    let free = flag(map, "x-kubernetes-int-or-string")
        || flag(map, "x-kubernetes-preserve-unknown-fields");
    if kind.is_empty() && !free {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(field::required(&at, detail));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(field::invalid(&at, kind, "must be object at the root"));
    }
}

/// What schemas may say of the fields that every object has.
fn object_fields(map: &Map<String, Value>, level: Level, path: &Path, errors: &mut ErrorList) {
    let embedded = flag(map, "x-kubernetes-embedded-resource");
    if embedded && map.contains_key("additionalProperties") {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(field::forbidden(
            &path.child("additionalProperties"),
            detail,
        ));
    }
    if embedded
        && !flag(map, "x-kubernetes-preserve-unknown-fields")
        && properties(map).next().is_none()
    {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.push(field::required(&path.child("properties"), detail));
    }
    if level != Level::Root && !embedded {
        return;
    }
    let at = |name: &str| path.child("properties").key(name);
    for (name, property) in properties(map) {
        let Some(property) = property.as_object() else {
            continue;
        };
        let (kind, wanted) = match name.as_str() {
            "kind" | "apiVersion" => (text(property, "type"), "string"),
            "metadata" => (text(property, "type"), "object"),
            _ => continue,
        };
        if kind != wanted {
            errors.push(field::invalid(
                &at(name).child("type"),
                kind,
                format!("must be {wanted}"),
            ));
        }
        if name == "metadata" && level == Level::Root {
            let others = properties(property)
                .any(|(name, _)| !matches!(name.as_str(), "name" | "generateName"));
            if others {
                let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
                errors.push(field::forbidden(&at(name), detail));
            }
        }
    }
}

/// Defaults have to be what the schema asks for.
fn defaults(schema: &Value, path: &Path, is_root: bool, errors: &mut ErrorList) {
    let Some(map) = schema.as_object() else {
        return;
    };
    if let Some(default) = map.get("default").filter(|default| !default.is_null()) {
        let at = path.child("default");
        if is_root {
            errors.push(field::forbidden(&at, "must not be set at the root"));
        }
        let compiled = Schema::read(schema);
        let mut filled = default.clone();
        super::default::fill(&compiled, &mut filled);
        let unknown = super::prune::prune(&compiled, &mut filled.clone());
        if !unknown.is_empty() && compiled.embedded {
            return;
        }
        if !unknown.is_empty() {
            errors.push(field::invalid(&at, default, "must not have unknown fields"));
        }
        for mut error in validate::validate(&compiled, &filled, None) {
            error.field = match error.field.as_str() {
                "<nil>" => at.to_string(),
                below if below.starts_with('[') => format!("{at}{below}"),
                below => format!("{at}.{below}"),
            };
            errors.push(error);
        }
    }
    for (name, property) in properties(map) {
        if is_root && name == "metadata" {
            continue;
        }
        defaults(property, &path.child("properties").key(name), false, errors);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = map.get(key) {
            defaults(inner, &path.child(key), false, errors);
        }
    }
}
