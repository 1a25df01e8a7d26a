//! OpenAPI documents: v3 per group and version, and v2 for everything, each as JSON and as the protobuf
//! messages of gnostic, which `kubectl` prefers.
//!
//! Documents are built from the tables and the embedded prose on request, and nothing of them
//! stays in memory. Clients cache them on disk under the hash that the index contains, so each client asks
//! once per release.

mod custom;
mod definition;
mod document;
mod gnostic;
mod operation;
mod parameter;
mod path;
mod prose;
#[cfg(test)]
mod tests;

pub use custom::{CustomKind, digest};

use crate::kind::{Kind, kinds};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The `Content-Type` of v3 documents as protobuf. Clients also ask with `v3@v1.0`; upstream answers with
/// the form with a dot, because parsers of media types refuse an `@` (`kube-openapi/pkg/handler3`).
pub const V3_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
/// The `Content-Type` of the v2 document as protobuf; with a dot for the same reason.
pub const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
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

/// `/openapi/v3`: where the documents are. The hash in the address changes with the document. `custom` are
/// the kinds defined at run time.
pub fn v3_index(custom: &[CustomKind]) -> Value {
    let mut paths = Map::new();
    for (group, version) in all_group_versions(custom) {
        let path = v3_path(group, version);
        let url = format!(
            "/openapi/v3/{path}?hash={}",
            v3_digest(group, version, custom)
        );
        paths.insert(path, json!({ "serverRelativeURL": url }));
    }
    json!({ "paths": paths })
}

/// The digest of the document of a group and version.
pub fn v3_digest(group: &str, version: &str, custom: &[CustomKind]) -> String {
    digest(of(group, version, custom).into_iter())
}

fn of<'a>(group: &str, version: &str, custom: &'a [CustomKind]) -> Vec<&'a CustomKind> {
    custom
        .iter()
        .filter(|c| c.kind.group == group && c.kind.version == version)
        .collect()
}

/// `api/v1`, `apis/apps/v1`: what follows `/openapi/v3/`.
fn v3_path(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

/// The document of a group and version; None when nothing is served there.
pub fn v3(group: &str, version: &str, custom: &[CustomKind], encoding: Encoding) -> Option<Bytes> {
    let built_in: Vec<&'static Kind> = kinds()
        .iter()
        .filter(|k| k.group == group && k.version == version)
        .collect();
    let custom = of(group, version, custom);
    if built_in.is_empty() && custom.is_empty() {
        return None;
    }
    let document = document::v3(&built_in, &custom);
    Some(match encoding {
        Encoding::Json => to_json(&document),
        Encoding::Protobuf => gnostic::v3(&document).into(),
    })
}

/// Group and version of the document behind `/openapi/v3/<path>`.
pub fn v3_of_path<'a>(path: &str, custom: &'a [CustomKind]) -> Option<(&'a str, &'a str)> {
    all_group_versions(custom)
        .into_iter()
        .find(|(group, version)| v3_path(group, version) == path)
}

/// `/openapi/v2`
pub fn v2(custom: &[CustomKind], encoding: Encoding) -> Bytes {
    let document = document::v2(kinds(), &custom.iter().collect::<Vec<_>>());
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

fn all_group_versions(custom: &[CustomKind]) -> BTreeSet<(&str, &str)> {
    let custom = custom.iter().map(|c| (c.kind.group, c.kind.version));
    group_versions().into_iter().chain(custom).collect()
}
