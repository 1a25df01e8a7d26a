//! Discovery documents of the fake: every resource that [`crate::resources`] names.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::resources::ALL;

const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

pub(super) fn document(path: &str) -> Option<Value> {
    if path == "/apis" {
        return Some(groups());
    }
    let version = path
        .strip_prefix("/api/")
        .or_else(|| path.strip_prefix("/apis/"))?;
    let resources: Vec<Value> = ALL
        .iter()
        .filter(|r| r.api_version() == version)
        .map(|r| {
            let verbs: &[&str] = if r.kind.ends_with("Review") || r.kind == "Binding" { &["create"] } else { &VERBS };
            json!({"name": r.plural, "namespaced": r.namespaced, "kind": r.kind, "singularName": "", "verbs": verbs})
        })
        .collect();
    (!resources.is_empty()).then(
        || json!({"kind": "APIResourceList", "groupVersion": version, "resources": resources}),
    )
}

fn groups() -> Value {
    let groups: BTreeSet<(String, String)> = ALL
        .iter()
        .filter(|r| !r.group.is_empty())
        .map(|r| (r.group.to_string(), r.version.to_string()))
        .collect();
    let groups: Vec<Value> = groups
        .into_iter()
        .map(|(name, version)| {
            let own = json!({"groupVersion": format!("{name}/{version}"), "version": version});
            json!({"name": name, "versions": [own], "preferredVersion": own})
        })
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}
