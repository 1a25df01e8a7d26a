//! Whole documents.

use super::Dialect;
use super::custom::{self, CustomKind};
use super::definition::definitions;
use super::path::{add_paths, shared_types, types_of};
use super::prose::Prose;
use crate::kind::Kind;
use crate::schema;
use serde_json::{Map, Value, json};

/// The version of the API that the documents describe.
const VERSION: &str = "v1.36.0";

fn info() -> Value {
    json!({"title": "Kubernetes", "version": VERSION})
}

fn paths(kinds: impl IntoIterator<Item = &'static Kind>, dialect: Dialect) -> Map<String, Value> {
    let mut out = Map::new();
    for kind in kinds {
        add_paths(kind, dialect, &mut out);
    }
    out
}

/// Adds the kinds defined at run time.
fn add_custom(
    custom: &[&CustomKind],
    dialect: Dialect,
    schemas: &mut Map<String, Value>,
    paths: &mut Map<String, Value>,
) {
    for kind in custom {
        custom::add_definitions(kind, dialect, schemas);
        custom::add_paths(kind, dialect, paths);
    }
}

/// The v3 document of kinds of one group and version.
pub(super) fn v3(kinds: &[&'static Kind], custom: &[&CustomKind]) -> Value {
    let prose = Prose::unpack();
    let own = custom.first().into_iter().flat_map(|_| custom::roots());
    let scales = custom
        .iter()
        .flat_map(|c| c.kind.subresources)
        .filter_map(|sub| sub.schema);
    let roots = kinds
        .iter()
        .flat_map(|k| types_of(k))
        .chain(shared_types())
        .chain(own)
        .chain(scales);
    let mut schemas = definitions(roots, Dialect::V3, &prose);
    let mut paths = paths(kinds.iter().copied(), Dialect::V3);
    add_custom(custom, Dialect::V3, &mut schemas, &mut paths);
    json!({"openapi": "3.0.0", "info": info(), "paths": paths, "components": {"schemas": schemas}})
}

/// The v2 document of all kinds.
pub(super) fn v2(kinds: &'static [Kind], custom: &[&CustomKind]) -> Value {
    let prose = Prose::unpack();
    let mut definitions = definitions(schema::types().map(|(id, _)| id), Dialect::V2, &prose);
    let mut paths = paths(kinds, Dialect::V2);
    add_custom(custom, Dialect::V2, &mut definitions, &mut paths);
    json!({"swagger": "2.0", "info": info(), "paths": paths, "definitions": definitions})
}
