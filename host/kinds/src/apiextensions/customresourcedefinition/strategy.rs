//! Which versions of a custom resource the store may hold.

use k3s_meta::tree;
use serde_json::{Value, json};

use super::defaults;

/// A new definition has no status but the version it will store.
pub(super) fn prepare_create(definition: &mut Value) {
    tree::set(definition, "status", json!({}));
    defaults::default(definition);
    remember_storage_version(definition);
}

/// The status stays, with a new storage version added to those the store may hold.
pub(super) fn prepare_update(new: &mut Value, old: &Value) {
    tree::copy(new, old, "status");
    remember_storage_version(new);
}

fn remember_storage_version(definition: &mut Value) {
    let storage = tree::list(definition, "spec.versions")
        .iter()
        .find(|version| tree::flag(version, "storage"));
    let Some(name) = storage.map(|version| tree::text(version, "name").to_owned()) else {
        return;
    };
    if !tree::texts(definition, "status.storedVersions").contains(&name.as_str()) {
        let mut stored = tree::list(definition, "status.storedVersions").to_vec();
        stored.push(name.into());
        tree::set(definition, "status.storedVersions", stored);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_versions_grow() {
        let versions = |storage: &str| json!([{"name": "v1", "storage": storage == "v1"}, {"name": "v2", "storage": storage == "v2"}]);
        let mut old = json!({"spec": {"versions": versions("v1")}});
        prepare_create(&mut old);
        let mut new = json!({"spec": {"versions": versions("v2")}});
        prepare_update(&mut new, &old);
        assert_eq!(tree::texts(&new, "status.storedVersions"), ["v1", "v2"]);
    }
}
