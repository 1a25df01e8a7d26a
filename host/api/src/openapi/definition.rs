//! Schemas of types.

use super::Dialect;
use super::prose::Prose;
use crate::schema::{self, Field, ListType, MapType, Shape, Type, TypeId, ValueType};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Definitions of the types and of all that they refer to, by name.
pub(super) fn definitions(
    roots: impl IntoIterator<Item = TypeId>,
    dialect: Dialect,
    prose: &Prose,
) -> Map<String, Value> {
    let mut open: Vec<TypeId> = roots.into_iter().collect();
    let mut seen = BTreeSet::new();
    let mut out = Map::new();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(
                id.get()
                    .fields()
                    .iter()
                    .filter_map(|f| referred(f.value_type())),
            );
            out.insert(id.get().name().to_owned(), definition(id, dialect, prose));
        }
    }
    out
}

fn referred(value: ValueType) -> Option<TypeId> {
    value.type_id().or_else(|| referred(value.element()?))
}

fn definition(id: TypeId, dialect: Dialect, prose: &Prose) -> Value {
    let t = id.get();
    let mut out = shape(t, dialect);
    describe(&mut out, prose.of_type(id.index(), t));
    if t.shape == Shape::Struct {
        let fields = prose.fields(id.index(), t);
        let properties: Map<String, Value> = fields
            .map(|(f, text)| (f.name().to_owned(), property(f, text, dialect)))
            .collect();
        let required: Vec<&str> = t
            .fields()
            .iter()
            .filter(|f| f.required())
            .map(Field::name)
            .collect();
        if !properties.is_empty() {
            out.insert("properties".to_owned(), properties.into());
        }
        if !required.is_empty() {
            out.insert("required".to_owned(), required.into());
        }
    }
    add_extensions(&mut out, id, t);
    Value::Object(out)
}

fn describe(out: &mut Map<String, Value>, text: &str) {
    if !text.is_empty() {
        out.insert("description".to_owned(), text.into());
    }
}

fn object(v: Value) -> Map<String, Value> {
    if let Value::Object(map) = v {
        map
    } else {
        Map::new()
    }
}

/// Type and format. v3 can say that a value has one of two types.
fn shape(t: &Type, dialect: Dialect) -> Map<String, Value> {
    object(match (t.shape, dialect) {
        (Shape::Struct | Shape::Any, _) => json!({"type": "object"}),
        (Shape::Quantity, Dialect::V2) => json!({"type": "string"}),
        (Shape::Quantity, Dialect::V3) => {
            json!({"oneOf": [{"type": "string"}, {"type": "number"}]})
        }
        (Shape::IntOrString, Dialect::V2) => json!({"type": "string", "format": "int-or-string"}),
        (Shape::IntOrString, Dialect::V3) => {
            json!({"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"})
        }
        (Shape::Time | Shape::MicroTime, _) => json!({"type": "string", "format": "date-time"}),
    })
}

fn add_extensions(out: &mut Map<String, Value>, id: TypeId, t: &Type) {
    let gvks: Vec<Value> = match t.go_name() {
        // These belong to every group.
        kind @ ("DeleteOptions" | "WatchEvent") => super::group_versions()
            .into_iter()
            .map(|(g, v)| gvk(g, v, kind))
            .collect(),
        _ => id.gvks().map(|(g, v, k)| gvk(g, v, k)).collect(),
    };
    if !gvks.is_empty() {
        out.insert("x-kubernetes-group-version-kind".to_owned(), gvks.into());
    }
    if t.atomic {
        out.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
    }
    let unions: Vec<Value> = schema::unions(id)
        .map(|(discriminator, members)| union(discriminator, members))
        .collect();
    if !unions.is_empty() {
        out.insert("x-kubernetes-unions".to_owned(), unions.into());
    }
}

fn union(discriminator: &str, members: &[(&str, &str)]) -> Value {
    let members: Map<String, Value> = members
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).into()))
        .collect();
    let mut out = object(json!({"fields-to-discriminateBy": members}));
    if !discriminator.is_empty() {
        out.insert("discriminator".to_owned(), discriminator.into());
    }
    out.into()
}

/// `x-kubernetes-group-version-kind`
pub(super) fn gvk(group: &str, version: &str, kind: &str) -> Value {
    json!({"group": group, "version": version, "kind": kind})
}

/// `#/definitions/...` or `#/components/schemas/...`
pub(super) fn reference(id: TypeId, dialect: Dialect) -> Value {
    reference_to(id.get().name(), dialect)
}

/// The same, by name.
pub(super) fn reference_to(name: &str, dialect: Dialect) -> Value {
    match dialect {
        Dialect::V2 => json!({"$ref": format!("#/definitions/{name}")}),
        Dialect::V3 => json!({"$ref": format!("#/components/schemas/{name}")}),
    }
}

fn property(field: &Field, text: &str, dialect: Dialect) -> Value {
    let value = field.value_type();
    let mut out = object(match (value, dialect) {
        // Siblings of a reference are ignored in v3.
        (ValueType::Named(_), Dialect::V3) => json!({"allOf": [value_schema(value, dialect)]}),
        _ => value_schema(value, dialect),
    });
    describe(&mut out, text);
    let mut add = |key: &str, value: Value| drop(out.insert(format!("x-kubernetes-{key}"), value));
    match field.list_type() {
        ListType::Unset => {}
        ListType::Atomic => add("list-type", "atomic".into()),
        ListType::Set => add("list-type", "set".into()),
        ListType::Map => {
            add("list-type", "map".into());
            add(
                "list-map-keys",
                field.list_keys().collect::<Vec<_>>().into(),
            );
        }
    }
    match field.map_type() {
        MapType::Unset => {}
        MapType::Atomic => add("map-type", "atomic".into()),
        MapType::Granular => add("map-type", "granular".into()),
    }
    if let Some(key) = field.merge_key() {
        add("patch-merge-key", key.into());
    }
    let strategy = field.strategy();
    let words = [
        (strategy.merge, "merge"),
        (strategy.replace, "replace"),
        (strategy.retain_keys, "retainKeys"),
    ];
    let words: Vec<&str> = words
        .iter()
        .filter(|(on, _)| *on)
        .map(|(_, word)| *word)
        .collect();
    if !words.is_empty() {
        add("patch-strategy", words.join(",").into());
    }
    out.into()
}

fn value_schema(value: ValueType, dialect: Dialect) -> Value {
    match value {
        ValueType::String => json!({"type": "string"}),
        ValueType::Bytes => json!({"type": "string", "format": "byte"}),
        ValueType::Bool => json!({"type": "boolean"}),
        ValueType::Int32 => json!({"type": "integer", "format": "int32"}),
        ValueType::Int64 => json!({"type": "integer", "format": "int64"}),
        ValueType::Double => json!({"type": "number", "format": "double"}),
        ValueType::Named(_) => value
            .type_id()
            .map_or(Value::Null, |id| reference(id, dialect)),
        ValueType::List(_) => json!({"type": "array", "items": element(value, dialect)}),
        ValueType::Map(_) => {
            json!({"type": "object", "additionalProperties": element(value, dialect)})
        }
    }
}

fn element(value: ValueType, dialect: Dialect) -> Value {
    value
        .element()
        .map_or(Value::Null, |e| value_schema(e, dialect))
}
