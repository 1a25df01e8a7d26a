//! OpenAPI documents: v3 per group and version, and v2 for everything, each as JSON and as the protobuf
//! messages of gnostic, which `kubectl` prefers.
//!
//! Documents are built from the tables and the embedded prose when somebody asks, and nothing of them
//! stays in memory. Clients keep them on disk under the hash that the index tells, so each client asks
//! once per release.

mod definition;
mod document;
mod gnostic;
mod operation;
mod parameter;
mod path;
mod prose;
#[cfg(test)]
mod tests;

use crate::kind::{Kind, kinds};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What clients accept when they want v3 documents as protobuf.
pub const V3_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
/// What clients accept when they want the v2 document as protobuf.
pub const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// The `Content-Type` of v3 documents as protobuf. Answers have a dot where requests have an `@`, which
/// parsers of media types refuse.
pub const V3_PROTOBUF_CONTENT_TYPE: &str = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
/// The `Content-Type` of the v2 document as protobuf.
pub const V2_PROTOBUF_CONTENT_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// Media type of both as JSON.
pub const JSON: &str = "application/json";

/// The digest of everything documents are made from, in hexadecimal. It serves as the entity tag of all
/// documents of built-in kinds.
pub const DIGEST: &str = include_str!(concat!(env!("OUT_DIR"), "/digest.txt"));

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JSON.
    Json,
    /// Protobuf messages of gnostic.
    Protobuf,
}

/// The two versions of OpenAPI, which differ in the form of references, bodies and parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    V2,
    V3,
}

/// `/openapi/v3`: where the documents are. The hash in the address changes with the document.
pub fn v3_index() -> Value {
    let mut paths = Map::new();
    for (group, version) in group_versions() {
        let path = v3_path(group, version);
        let url = format!("/openapi/v3/{path}?hash={DIGEST}");
        paths.insert(path, json!({ "serverRelativeURL": url }));
    }
    json!({ "paths": paths })
}

/// `api/v1`, `apis/apps/v1`: what follows `/openapi/v3/`.
pub fn v3_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// The document of a group and version; None when nothing is served there.
pub fn v3(group: &str, version: &str, encoding: Encoding) -> Option<Bytes> {
    let of: Vec<&'static Kind> = kinds().iter().filter(|k| k.group == group && k.version == version).collect();
    if of.is_empty() {
        return None;
    }
    let document = document::v3(&of);
    Some(match encoding {
        Encoding::Json => to_json(&document),
        Encoding::Protobuf => gnostic::v3(&document).into(),
    })
}

/// The document behind `/openapi/v3/<path>`.
pub fn v3_by_path(path: &str, encoding: Encoding) -> Option<Bytes> {
    let found = group_versions().into_iter().find(|(group, version)| v3_path(group, version) == path)?;
    v3(found.0, found.1, encoding)
}

/// `/openapi/v2`
pub fn v2(encoding: Encoding) -> Bytes {
    let document = document::v2(kinds());
    match encoding {
        Encoding::Json => to_json(&document),
        Encoding::Protobuf => gnostic::v2(&document).into(),
    }
}

fn to_json(document: &Value) -> Bytes {
    // A tree of strings and numbers: serialisation cannot fail.
    serde_json::to_vec(document).unwrap_or_default().into()
}

fn group_versions() -> BTreeSet<(&'static str, &'static str)> {
    kinds().iter().map(|k| (k.group, k.version)).collect()
}
