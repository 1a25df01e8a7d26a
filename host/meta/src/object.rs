//! The metadata that every object has (`metav1.ObjectMeta`), over the dynamic tree. Reading never
//! fails: what is missing or of another type reads as empty, because validation has its own place
//! (`k3s_kinds::object_meta`). Fields other than metadata are read with [`crate::tree`].

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::tree;

/// An entry of `metadata.ownerReferences`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OwnerReference {
    /// `apps/v1`
    pub api_version: String,
    /// `ReplicaSet`
    pub kind: String,
    /// Name of the owner, in the same namespace or cluster-scoped.
    pub name: String,
    /// UID of the owner; the name alone does not identify it.
    pub uid: String,
    /// At most one owner is the managing controller.
    pub controller: bool,
    /// Foreground deletion of the owner waits for this object.
    pub block_owner_deletion: bool,
}

impl OwnerReference {
    /// Reads one entry.
    pub fn from_value(v: &Value) -> Self {
        Self {
            api_version: text(v, "apiVersion").to_owned(),
            kind: text(v, "kind").to_owned(),
            name: text(v, "name").to_owned(),
            uid: text(v, "uid").to_owned(),
            controller: flag(v, "controller"),
            block_owner_deletion: flag(v, "blockOwnerDeletion"),
        }
    }

    /// The entry as it stands in an object. The two flags are written only when set.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        for (key, value) in [
            ("apiVersion", &self.api_version),
            ("kind", &self.kind),
            ("name", &self.name),
            ("uid", &self.uid),
        ] {
            map.insert(key.to_owned(), Value::from(value.as_str()));
        }
        if self.controller {
            map.insert("controller".to_owned(), Value::Bool(true));
        }
        if self.block_owner_deletion {
            map.insert("blockOwnerDeletion".to_owned(), Value::Bool(true));
        }
        Value::Object(map)
    }
}

fn text<'a>(v: &'a Value, key: &str) -> &'a str {
    v.get(key).and_then(Value::as_str).unwrap_or("")
}

fn flag(v: &Value, key: &str) -> bool {
    v.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn meta<'a>(v: &'a Value, key: &str) -> Option<&'a Value> {
    v.get("metadata")?.get(key)
}

fn meta_text<'a>(v: &'a Value, key: &str) -> &'a str {
    meta(v, key).and_then(Value::as_str).unwrap_or("")
}

/// `metadata.name`
pub fn name(v: &Value) -> &str {
    meta_text(v, "name")
}

/// `metadata.generateName`
pub fn generate_name(v: &Value) -> &str {
    meta_text(v, "generateName")
}

/// `metadata.namespace`; empty for cluster-scoped objects.
pub fn namespace(v: &Value) -> &str {
    meta_text(v, "namespace")
}

/// `metadata.uid`
pub fn uid(v: &Value) -> &str {
    meta_text(v, "uid")
}

/// `kind`
pub fn kind(v: &Value) -> &str {
    text(v, "kind")
}

/// `apiVersion`
pub fn api_version(v: &Value) -> &str {
    text(v, "apiVersion")
}

/// `metadata.resourceVersion` as the revision number it is on this server.
pub fn resource_version(v: &Value) -> Option<u64> {
    meta_text(v, "resourceVersion").parse().ok()
}

/// `metadata.generation`; 0 when absent.
pub fn generation(v: &Value) -> i64 {
    meta(v, "generation").and_then(Value::as_i64).unwrap_or(0)
}

/// One label.
pub fn label<'a>(v: &'a Value, key: &str) -> Option<&'a str> {
    meta(v, "labels")?.get(key)?.as_str()
}

/// One annotation.
pub fn annotation<'a>(v: &'a Value, key: &str) -> Option<&'a str> {
    meta(v, "annotations")?.get(key)?.as_str()
}

/// All labels.
pub fn labels(v: &Value) -> BTreeMap<String, String> {
    string_map(meta(v, "labels"))
}

/// All annotations.
pub fn annotations(v: &Value) -> BTreeMap<String, String> {
    string_map(meta(v, "annotations"))
}

/// A map of strings; entries of other types are left out.
pub fn string_map(v: Option<&Value>) -> BTreeMap<String, String> {
    let Some(Value::Object(map)) = v else {
        return BTreeMap::new();
    };
    map.iter()
        .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
        .collect()
}

/// `metadata.ownerReferences`
pub fn owner_references(v: &Value) -> Vec<OwnerReference> {
    let list = meta(v, "ownerReferences").and_then(Value::as_array);
    list.map(|l| l.iter().map(OwnerReference::from_value).collect())
        .unwrap_or_default()
}

/// The owner that manages the object, if any.
pub fn controller_of(v: &Value) -> Option<OwnerReference> {
    let list = meta(v, "ownerReferences")?.as_array()?;
    list.iter()
        .find(|o| flag(o, "controller"))
        .map(OwnerReference::from_value)
}

/// `metadata.finalizers`
pub fn finalizers(v: &Value) -> Vec<String> {
    let list = meta(v, "finalizers").and_then(Value::as_array);
    list.map(|l| {
        l.iter()
            .filter_map(|f| f.as_str().map(str::to_owned))
            .collect()
    })
    .unwrap_or_default()
}

/// `metadata.deletionTimestamp`: set once deletion has begun.
pub fn deletion_timestamp(v: &Value) -> Option<&str> {
    meta(v, "deletionTimestamp")?.as_str()
}

/// `metadata.creationTimestamp`
pub fn creation_timestamp(v: &Value) -> Option<&str> {
    meta(v, "creationTimestamp")?.as_str()
}

/// Sets one label.
pub fn set_label(v: &mut Value, key: &str, value: impl Into<String>) {
    set_entry(v, "metadata.labels", key, value.into());
}

/// Removes one label and returns its value.
pub fn remove_label(v: &mut Value, key: &str) -> Option<String> {
    remove_entry(v, "metadata.labels", key)
}

/// Sets one annotation.
pub fn set_annotation(v: &mut Value, key: &str, value: impl Into<String>) {
    set_entry(v, "metadata.annotations", key, value.into());
}

/// Removes one annotation and returns its value.
pub fn remove_annotation(v: &mut Value, key: &str) -> Option<String> {
    remove_entry(v, "metadata.annotations", key)
}

fn set_entry(v: &mut Value, path: &str, key: &str, value: String) {
    if let Some(map) = tree::ensure(v, path) {
        map.insert(key.to_owned(), Value::String(value));
    }
}

/// A map that becomes empty stays.
fn remove_entry(v: &mut Value, path: &str, key: &str) -> Option<String> {
    match tree::get_mut(v, path)?.as_object_mut()?.remove(key)? {
        Value::String(value) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_metadata() {
        let v = json!({"metadata": {"name": "a", "resourceVersion": "12", "labels": {"x": "y"}, "ownerReferences":
            [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "1", "controller": true}]}});
        assert_eq!(name(&v), "a");
        assert_eq!(namespace(&v), "");
        assert_eq!(resource_version(&v), Some(12));
        assert_eq!(label(&v, "x"), Some("y"));
        let owner = controller_of(&v).unwrap();
        assert_eq!(owner.name, "r");
        assert_eq!(OwnerReference::from_value(&owner.to_value()), owner);
        assert_eq!(name(&json!(3)), "");
    }

    #[test]
    fn sets_and_removes_labels_whose_keys_have_dots() {
        let mut v = json!({"metadata": {"labels": null}});
        set_label(&mut v, "app.kubernetes.io/name", "web");
        set_annotation(&mut v, "a.b", "c");
        assert_eq!(label(&v, "app.kubernetes.io/name"), Some("web"));
        assert_eq!(
            remove_label(&mut v, "app.kubernetes.io/name").as_deref(),
            Some("web")
        );
        assert_eq!(remove_annotation(&mut v, "other"), None);
        assert_eq!(
            v,
            json!({"metadata": {"labels": {}, "annotations": {"a.b": "c"}}})
        );
    }
}
