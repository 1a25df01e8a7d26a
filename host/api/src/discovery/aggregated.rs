//! Aggregated discovery (`apidiscovery.k8s.io`): everything under `/api` or `/apis` in one document.

use super::order::arrange;
use super::row::{Row, SubRow};
use k3s_meta::tree;
use serde_json::{Value, json};

/// Media type of the current version.
const AGGREGATED_V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// Media type of the version before, which older clients ask for.
const AGGREGATED_V2BETA1: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// The versions of the document; they differ in name only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregatedVersion {
    /// `v2`
    V2,
    /// `v2beta1`
    V2Beta1,
}

impl AggregatedVersion {
    /// The `Content-Type` of the answer.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::V2 => AGGREGATED_V2,
            Self::V2Beta1 => AGGREGATED_V2BETA1,
        }
    }

    fn api_version(self) -> &'static str {
        match self {
            Self::V2 => "apidiscovery.k8s.io/v2",
            Self::V2Beta1 => "apidiscovery.k8s.io/v2beta1",
        }
    }
}

/// `/api`
pub fn aggregated_core<'a>(
    rows: impl Iterator<Item = Row<'a>>,
    version: AggregatedVersion,
) -> Value {
    document(rows.filter(|r| r.group.is_empty()), version)
}

/// `/apis`
pub fn aggregated_groups<'a>(
    rows: impl Iterator<Item = Row<'a>>,
    version: AggregatedVersion,
) -> Value {
    document(rows.filter(|r| !r.group.is_empty()), version)
}

fn document<'a>(rows: impl Iterator<Item = Row<'a>>, version: AggregatedVersion) -> Value {
    let items: Vec<Value> = arrange(rows)
        .iter()
        .map(|(name, versions)| group(name, versions))
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": version.api_version(), "metadata": {}, "items": items})
}

fn group(name: &str, versions: &[(&str, Vec<Row<'_>>)]) -> Value {
    let metadata = if name.is_empty() {
        json!({})
    } else {
        json!({ "name": name })
    };
    let versions: Vec<Value> = versions
        .iter()
        .map(|(version, rows)| group_version(version, rows))
        .collect();
    json!({"metadata": metadata, "versions": versions})
}

fn group_version(version: &str, rows: &[Row<'_>]) -> Value {
    let resources: Vec<Value> = rows.iter().map(resource).collect();
    json!({"version": version, "resources": resources, "freshness": "Current"})
}

fn resource(row: &Row<'_>) -> Value {
    let mut entry = json!({
        "resource": row.plural,
        "responseKind": {"group": row.group, "version": row.version, "kind": row.kind},
        "scope": if row.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": row.singular,
        "verbs": row.verbs,
    });
    for (key, names) in [
        ("shortNames", row.short_names),
        ("categories", row.categories),
    ] {
        if !names.is_empty() {
            tree::set(&mut entry, key, names);
        }
    }
    if !row.subresources.is_empty() {
        tree::set(
            &mut entry,
            "subresources",
            row.subresources.iter().map(subresource).collect::<Value>(),
        );
    }
    entry
}

fn subresource(sub: &SubRow<'_>) -> Value {
    let (group, version, kind) = sub.kind;
    json!({
        "subresource": sub.name,
        "responseKind": {"group": group, "version": version, "kind": kind},
        "verbs": sub.verbs,
    })
}
