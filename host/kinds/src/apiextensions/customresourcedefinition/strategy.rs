//! Which versions of a custom resource the store may hold.

use k3s_meta::tree;
use serde_json::Value;

use crate::context::Context;

/// A new definition has no status but the version it will store.
pub(super) fn prepare_create(definition: &mut Value, _: &Context<'_>) {
    remember_storage_version(definition);
}

/// The status stays, with a new storage version added to those the store may hold.
pub(super) fn prepare_update(new: &mut Value, _: &Value, _: &Context<'_>) {
    remember_storage_version(new);
}

/// Adds the version that is stored to those that the store may hold.
pub(super) fn remember_storage_version(definition: &mut Value) {
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
    use k3s_meta::UserInfo;
    use serde_json::json;

    use super::*;

    /// A status without versions gets the one that is stored, as it is when it is decoded.
    #[test]
    fn a_status_without_versions_gets_the_stored_one() {
        let versions = json!([{"name": "v1", "storage": false}, {"name": "v2", "storage": true}]);
        for (status, want) in [
            (json!({}), vec!["v2"]),
            (json!({"storedVersions": ["v1"]}), vec!["v1"]),
        ] {
            let mut definition = json!({"spec": {"versions": versions}, "status": status});
            super::super::defaults::default(&mut definition);
            assert_eq!(tree::texts(&definition, "status.storedVersions"), want);
        }
    }

    #[test]
    fn stored_versions_grow() {
        let user = UserInfo::default();
        let context = Context::at_epoch(&user);
        let versions = |storage: &str| json!([{"name": "v1", "storage": storage == "v1"}, {"name": "v2", "storage": storage == "v2"}]);
        let mut old = json!({"spec": {"versions": versions("v1")}});
        prepare_create(&mut old, &context);
        let mut new = json!({"spec": {"versions": versions("v2")}, "status": old["status"]});
        prepare_update(&mut new, &old, &context);
        assert_eq!(tree::texts(&new, "status.storedVersions"), ["v1", "v2"]);
    }
}
