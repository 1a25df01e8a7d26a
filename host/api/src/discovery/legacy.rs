//! `/api`, `/apis`, `/apis/<group>`, `/api/v1` and `/apis/<group>/<version>`.

use super::order::arrange;
use super::row::{Row, SubRow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k3s_meta::gvk::api_version;
use k3s_meta::tree;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// `/api`. `server_address` is the address for clients of any network: `10.0.0.1:6443`.
pub fn core_versions(server_address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
    })
}

/// `/apis`
pub fn groups<'a>(rows: impl Iterator<Item = Row<'a>>) -> Value {
    let named = arrange(rows.filter(|r| !r.group.is_empty()));
    let groups: Vec<Value> = named
        .iter()
        .map(|(name, versions)| group_body(name, versions))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/<group>`; None when there is no such group.
pub fn group<'a>(rows: impl Iterator<Item = Row<'a>>, name: &str) -> Option<Value> {
    let groups = arrange(rows.filter(|r| r.group == name && !r.group.is_empty()));
    let (name, versions) = groups.first()?;
    let mut body = group_body(name, versions);
    tree::set(&mut body, "kind", "APIGroup");
    tree::set(&mut body, "apiVersion", "v1");
    Some(body)
}

fn group_body(name: &str, versions: &[(&str, Vec<Row<'_>>)]) -> Value {
    let entry =
        |version: &str| json!({"groupVersion": api_version(name, version), "version": version});
    let versions: Vec<Value> = versions.iter().map(|(version, _)| entry(version)).collect();
    json!({"name": name, "preferredVersion": versions.first(), "versions": versions})
}

/// `/api/v1` and `/apis/<group>/<version>`; None when nothing is served there.
pub fn resources<'a>(
    rows: impl Iterator<Item = Row<'a>>,
    group: &str,
    version: &str,
) -> Option<Value> {
    let mut rows: Vec<Row<'_>> = rows
        .filter(|r| r.group == group && r.version == version)
        .collect();
    rows.sort_by_key(|r| r.plural);
    if rows.is_empty() {
        return None;
    }
    let resources: Vec<Value> = rows.iter().flat_map(entries).collect();
    let mut body = json!({"kind": "APIResourceList", "groupVersion": api_version(group, version), "resources": resources});
    // Upstream's core document never had an apiVersion.
    if !group.is_empty() {
        tree::set(&mut body, "apiVersion", "v1");
    }
    Some(body)
}

/// The resource and its subresources, each an entry of the list.
fn entries(row: &Row<'_>) -> Vec<Value> {
    let mut own = json!({
        "name": row.plural,
        "singularName": row.singular,
        "namespaced": row.namespaced,
        "kind": row.kind,
        "verbs": row.verbs,
    });
    for (key, names) in [
        ("shortNames", row.short_names),
        ("categories", row.categories),
    ] {
        if !names.is_empty() {
            tree::set(&mut own, key, names);
        }
    }
    if let Some(stored) = row.stored {
        tree::set(&mut own, "storageVersionHash", storage_version_hash(stored));
    }
    let mut all = vec![own];
    all.extend(row.subresources.iter().map(|sub| sub_entry(row, sub)));
    all
}

/// By which clients see that a resource is stored in another version (`discovery.StorageVersionHash`).
fn storage_version_hash((group, version, kind): (&str, &str, &str)) -> String {
    const LENGTH: usize = 8;
    let digest = Sha256::digest(format!("{group}/{version}/{kind}"));
    let start: Vec<u8> = digest.into_iter().take(LENGTH).collect();
    STANDARD.encode(start)
}

fn sub_entry(row: &Row<'_>, sub: &SubRow<'_>) -> Value {
    let (group, version, kind) = sub.kind;
    let mut entry = Map::new();
    entry.insert(
        "name".to_owned(),
        format!("{}/{}", row.plural, sub.name).into(),
    );
    entry.insert("singularName".to_owned(), "".into());
    entry.insert("namespaced".to_owned(), row.namespaced.into());
    if (group, version) != (row.group, row.version) {
        entry.insert("group".to_owned(), group.into());
        entry.insert("version".to_owned(), version.into());
    }
    entry.insert("kind".to_owned(), kind.into());
    entry.insert("verbs".to_owned(), sub.verbs.into());
    Value::Object(entry)
}
