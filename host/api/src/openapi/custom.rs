//! Kinds defined at run time in the documents: their schemas come with the definition instead of from
//! the tables.
//!
//! Follows upstream's `apiextensions-apiserver/pkg/controller/openapi/builder`: the v2 document is for
//! old clients, which fail on what OpenAPI v2 cannot express, so such parts are left out there.

use super::definition::{gvk, reference_to};
use super::path::add_custom_paths;
use super::{DIGEST, Dialect};
use crate::kind::Kind;
use crate::schema::{self, TypeId};
use k3s_meta::tree;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::sync::Arc;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const KIND: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
const OBJECT_META: &str = "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
const LIST_META: &str = "Standard list metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";

/// Parts of a schema that OpenAPI v2 does not have.
const NOT_IN_V2: [&str; 6] = [
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "nullable",
    "x-kubernetes-validations",
];

/// A kind that is defined at run time.
#[derive(Clone, Debug)]
pub struct CustomKind {
    /// Its row.
    pub kind: &'static Kind,
    /// `openAPIV3Schema` as JSON: a tree needs many times the memory, and is only needed to make documents.
    pub schema: Arc<str>,
    /// Changes whenever the row or the schema does.
    pub digest: Arc<str>,
}

impl CustomKind {
    /// A kind with its digest.
    #[must_use]
    pub fn new(kind: &'static Kind, schema: &Value) -> Self {
        let schema: Arc<str> = schema.to_string().into();
        let mut hash = Sha256::new();
        hash.update(format!("{kind:?}\n{schema}"));
        let digest = hex(&hash.finalize()).into();
        Self {
            kind,
            schema,
            digest,
        }
    }

    fn name(&self) -> String {
        definition_name(self.kind, self.kind.kind)
    }

    fn list_name(&self) -> String {
        definition_name(self.kind, self.kind.list_kind)
    }
}

/// `stable.example.com/v1` `CronTab` is `com.example.stable.v1.CronTab`.
fn definition_name(kind: &Kind, name: &str) -> String {
    let mut parts: Vec<&str> = kind.group.split('.').collect();
    parts.reverse();
    format!("{}.{}.{name}", parts.join("."), kind.version)
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
            // Writing to a String cannot fail.
            let _ = write!(out, "{b:02X}");
            out
        })
}

/// The digest of documents that show these kinds besides the built-in ones.
#[must_use]
pub fn digest<'a>(custom: impl Iterator<Item = &'a CustomKind>) -> String {
    let mut hash = Sha256::new();
    let mut any = false;
    for kind in custom {
        any = true;
        hash.update(kind.digest.as_bytes());
    }
    if !any {
        return DIGEST.to_owned();
    }
    hash.update(DIGEST);
    hex(&hash.finalize())
}

/// Types of the tables that definitions of such kinds refer to.
pub(super) fn roots() -> impl Iterator<Item = TypeId> {
    ["ObjectMeta", "ListMeta"]
        .into_iter()
        .filter_map(|name| schema::by_name(&format!("{META}{name}")))
}

/// Adds a kind's definitions.
pub(super) fn add_definitions(custom: &CustomKind, dialect: Dialect, out: &mut Map<String, Value>) {
    out.insert(custom.name(), object(custom, dialect));
    out.insert(custom.list_name(), list(custom, dialect));
}

/// Adds a kind's paths.
pub(super) fn add_paths(custom: &CustomKind, dialect: Dialect, out: &mut Map<String, Value>) {
    add_custom_paths(
        custom.kind,
        (&custom.name(), &custom.list_name()),
        dialect,
        out,
    );
}

fn object(custom: &CustomKind, dialect: Dialect) -> Value {
    let mut schema = match serde_json::from_str(&custom.schema) {
        Ok(schema @ Value::Object(_)) => schema,
        _ => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
    };
    if dialect == Dialect::V2 {
        for_v2(&mut schema);
    }
    if let Some(map) = schema.as_object_mut() {
        let properties = map.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.extend(type_properties());
            properties.insert(
                "metadata".to_owned(),
                described("ObjectMeta", OBJECT_META, dialect),
            );
        }
    }
    marked(schema, custom.kind, custom.kind.kind)
}

fn list(custom: &CustomKind, dialect: Dialect) -> Value {
    let kind = custom.kind;
    let mut properties = type_properties();
    properties.insert(
        "metadata".to_owned(),
        described("ListMeta", LIST_META, dialect),
    );
    let items = json!({
        "type": "array",
        "items": reference_to(&custom.name(), dialect),
        "description": format!("List of {}. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md", kind.plural),
    });
    properties.insert("items".to_owned(), items);
    let description = format!("{} is a list of {}", kind.list_kind, kind.kind);
    let schema = json!({"type": "object", "required": ["items"], "description": description, "properties": properties});
    marked(schema, kind, kind.list_kind)
}

fn type_properties() -> Map<String, Value> {
    let text = |description: &str| json!({"type": "string", "description": description});
    [
        ("apiVersion".to_owned(), text(API_VERSION)),
        ("kind".to_owned(), text(KIND)),
    ]
    .into_iter()
    .collect()
}

fn described(name: &str, text: &str, dialect: Dialect) -> Value {
    let reference = reference_to(&format!("{META}{name}"), dialect);
    match dialect {
        // Siblings of a reference are ignored in v3.
        Dialect::V3 => json!({"allOf": [reference], "description": text}),
        Dialect::V2 => {
            let mut reference = reference;
            tree::set(&mut reference, "description", text);
            reference
        }
    }
}

fn marked(mut schema: Value, kind: &Kind, name: &str) -> Value {
    let mark = json!([gvk(kind.group, kind.version, name)]);
    tree::set(&mut schema, "x-kubernetes-group-version-kind", mark);
    schema
}

/// Removes what OpenAPI v2 cannot express, at every depth.
fn for_v2(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else {
        return;
    };
    let on = |map: &Map<String, Value>, key: &str| map.get(key) == Some(&Value::Bool(true));
    if on(map, "nullable") {
        // A value or null, which v2 cannot express.
        map.retain(|key, _| key == "description" || key.starts_with("x-kubernetes-"));
    }
    map.retain(|key, _| !NOT_IN_V2.contains(&key.as_str()) && key != "default");
    if on(map, "x-kubernetes-int-or-string") {
        map.remove("type");
    }
    if on(map, "x-kubernetes-preserve-unknown-fields") {
        map.retain(|key, _| !matches!(key.as_str(), "properties" | "items" | "required"));
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = map.get_mut(key) {
            for_v2(inner);
        }
    }
    for property in map
        .get_mut("properties")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(Map::values_mut)
    {
        for_v2(property);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v2_leaves_out_what_it_cannot_say() {
        let mut schema = json!({"type": "object", "properties": {
            "a": {"type": "string", "nullable": true, "description": "d"},
            "b": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
            "c": {"type": "array", "items": {"type": "integer", "default": 3}},
            "d": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"x": {"type": "string"}}},
        }});
        for_v2(&mut schema);
        let want = json!({"type": "object", "properties": {
            "a": {"description": "d"},
            "b": {"x-kubernetes-int-or-string": true},
            "c": {"type": "array", "items": {"type": "integer"}},
            "d": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }});
        assert_eq!(schema, want);
    }
}
