//! Read and write helpers over the dynamic tree of an object. Reading never fails: what is missing
//! or of another type reads as empty, because validation has its own place.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

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

/// The value at a path of keys.
pub fn at<'a>(v: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(v, |v, key| v.get(key))
}

/// The string at a path; empty when missing or of another type.
pub fn at_str<'a>(v: &'a Value, path: &[&str]) -> &'a str {
    at(v, path).and_then(Value::as_str).unwrap_or("")
}

/// The integer at a path.
pub fn at_i64(v: &Value, path: &[&str]) -> Option<i64> {
    at(v, path)?.as_i64()
}

/// The boolean at a path; false when missing.
pub fn at_bool(v: &Value, path: &[&str]) -> bool {
    at(v, path).and_then(Value::as_bool).unwrap_or(false)
}

/// The list at a path; empty when missing.
pub fn at_list<'a>(v: &'a Value, path: &[&str]) -> &'a [Value] {
    at(v, path)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Puts a value at a path, making maps on the way; what stood in the way and was not a map is replaced.
pub fn set(v: &mut Value, path: &[&str], value: Value) {
    let mut here = v;
    for key in path {
        if !here.is_object() {
            *here = Value::Object(Map::new());
        }
        let Value::Object(map) = here else { return };
        here = map.entry(*key).or_insert(Value::Null);
    }
    *here = value;
}

/// Removes and returns the value at a path. Maps that become empty stay.
pub fn remove(v: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    let parent = parents.iter().try_fold(v, |v, key| v.get_mut(key))?;
    parent.as_object_mut()?.remove(*last)
}

/// The map at a path for writing; made when missing or null, None when something else stands there.
pub fn map_mut<'a>(v: &'a mut Value, path: &[&str]) -> Option<&'a mut Map<String, Value>> {
    let mut here = v;
    for key in path {
        let map = here.as_object_mut()?;
        here = map.entry(*key).or_insert(Value::Null);
        if here.is_null() {
            *here = Value::Object(Map::new());
        }
    }
    here.as_object_mut()
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
    fn sets_and_removes_paths() {
        let mut v = json!({"a": 1});
        set(&mut v, &["a", "b"], json!(2));
        set(&mut v, &["c", "d"], json!(3));
        assert_eq!(v, json!({"a": {"b": 2}, "c": {"d": 3}}));
        assert_eq!(remove(&mut v, &["c", "d"]), Some(json!(3)));
        assert_eq!(remove(&mut v, &["x", "d"]), None);
        assert_eq!(v, json!({"a": {"b": 2}, "c": {}}));
        assert_eq!(at_i64(&v, &["a", "b"]), Some(2));
        map_mut(&mut v, &["m", "n"])
            .unwrap()
            .insert("k".into(), json!(1));
        assert_eq!(at_i64(&v, &["m", "n", "k"]), Some(1));
        assert!(map_mut(&mut v, &["a", "b", "c"]).is_none());
    }
}
