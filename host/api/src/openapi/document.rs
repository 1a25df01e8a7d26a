//! Whole documents.

use super::Dialect;
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

/// The v3 document of kinds of one group and version.
pub(super) fn v3(kinds: &[&'static Kind]) -> Value {
    let prose = Prose::unpack();
    let roots = kinds.iter().flat_map(|k| types_of(k)).chain(shared_types());
    let schemas = definitions(roots, Dialect::V3, &prose);
    let paths = paths(kinds.iter().copied(), Dialect::V3);
    json!({"openapi": "3.0.0", "info": info(), "paths": paths, "components": {"schemas": schemas}})
}

/// The v2 document of all kinds.
pub(super) fn v2(kinds: &'static [Kind]) -> Value {
    let prose = Prose::unpack();
    let definitions = definitions(schema::types().map(|(id, _)| id), Dialect::V2, &prose);
    let paths = paths(kinds, Dialect::V2);
    json!({"swagger": "2.0", "info": info(), "paths": paths, "definitions": definitions})
}
