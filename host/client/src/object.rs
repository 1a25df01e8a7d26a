//! An object as components hold it: bytes first, metadata read once, views made on demand.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use k3s_meta::OwnerReference;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::resource::Resource;

/// A shared, immutable object.
pub type Object = Arc<Obj>;

/// One object of any kind. It keeps the bytes it came as; [`Obj::value`] and [`Obj::typed`] parse
/// them at the first call and keep the result, so an object that no logic reads costs its
/// bytes only.
#[derive(Debug)]
pub struct Obj {
    raw: Bytes,
    meta: Metadata,
    api_version: String,
    kind: String,
    key: Arc<str>,
    value: OnceLock<Value>,
    views: OnceLock<Box<View>>,
}

/// The part of `metadata` that informers index and controllers ask for most.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`; empty for cluster-scoped objects.
    pub namespace: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`, opaque.
    pub resource_version: String,
    /// `metadata.generation`, 0 where the kind has none.
    pub generation: i64,
    /// `metadata.creationTimestamp`, RFC 3339.
    #[serde(deserialize_with = "null_as_default")]
    pub creation_timestamp: String,
    /// `metadata.deletionTimestamp`, RFC 3339, of an object that is being deleted.
    pub deletion_timestamp: Option<String>,
    /// `metadata.labels`.
    #[serde(deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
    /// `metadata.ownerReferences`.
    #[serde(deserialize_with = "owners")]
    pub owner_references: Vec<OwnerReference>,
    /// `metadata.finalizers`.
    #[serde(deserialize_with = "null_as_default")]
    pub finalizers: Vec<String>,
}

/// How an owner reference is spelt in JSON.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireOwner {
    api_version: String,
    kind: String,
    name: String,
    uid: String,
    controller: Option<bool>,
    block_owner_deletion: Option<bool>,
}

fn owners<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<OwnerReference>, D::Error> {
    let wire = Option::<Vec<WireOwner>>::deserialize(deserializer)?.unwrap_or_default();
    let owner = |w: WireOwner| OwnerReference {
        api_version: w.api_version,
        kind: w.kind,
        name: w.name,
        uid: w.uid,
        controller: w.controller.unwrap_or(false),
        block_owner_deletion: w.block_owner_deletion.unwrap_or(false),
    };
    Ok(wire.into_iter().map(owner).collect())
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Head {
    api_version: String,
    kind: String,
    metadata: Metadata,
}

/// One typed view; further types chain on, so that references stay valid without a lock.
struct View {
    value: Box<dyn Any + Send + Sync>,
    next: OnceLock<Box<View>>,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("View")
    }
}

impl Obj {
    /// Reads an object from its JSON.
    pub fn from_bytes(raw: impl Into<Bytes>) -> Result<Object> {
        let raw = raw.into();
        let head: Head = serde_json::from_slice(&raw).map_err(|e| Error::decode("an object", e))?;
        Ok(Arc::new(Self::assemble(raw, head, OnceLock::new())))
    }

    /// Reads an object that came in a list or watch of `resource`; `raw` is kept, not copied. A
    /// typed upstream server leaves `kind` and `apiVersion` out of list items; they are put back
    /// here.
    pub fn from_item(raw: Bytes, resource: &Resource) -> Result<Object> {
        let failed = |e| Error::decode(format!("an object of {resource}"), e);
        let head: Head = serde_json::from_slice(&raw).map_err(failed)?;
        if !head.kind.is_empty() {
            return Ok(Arc::new(Self::assemble(raw, head, OnceLock::new())));
        }
        let mut value: Value = serde_json::from_slice(&raw).map_err(failed)?;
        if let Some(map) = value.as_object_mut() {
            map.insert("apiVersion".into(), resource.api_version().into());
            map.insert("kind".into(), resource.kind.as_ref().into());
        }
        Self::from_value(value)
    }

    /// Makes an object from its dynamic tree.
    pub fn from_value(value: Value) -> Result<Object> {
        let raw = serde_json::to_vec(&value).map_err(|e| Error::decode("an object", e))?;
        let head = Head::deserialize(&value).map_err(|e| Error::decode("an object", e))?;
        let cell = OnceLock::new();
        // The cell is new, so this cannot fail.
        let _ = cell.set(value);
        Ok(Arc::new(Self::assemble(raw.into(), head, cell)))
    }

    fn assemble(raw: Bytes, head: Head, value: OnceLock<Value>) -> Self {
        let Head {
            api_version,
            kind,
            metadata: meta,
        } = head;
        let key = key(&meta.namespace, &meta.name);
        Self {
            raw,
            meta,
            api_version,
            kind,
            key,
            value,
            views: OnceLock::new(),
        }
    }

    /// The same object with nothing but `apiVersion`, `kind` and `metadata` (without managed
    /// fields): what a metadata-only informer keeps.
    pub fn metadata_only(&self) -> Result<Object> {
        let mut parsed: Value =
            serde_json::from_slice(&self.raw).map_err(|e| Error::decode("an object", e))?;
        if let Some(map) = parsed.as_object_mut() {
            map.retain(|field, _| matches!(field.as_str(), "apiVersion" | "kind" | "metadata"));
        }
        if let Some(meta) = parsed.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.remove("managedFields");
        }
        let raw = serde_json::to_vec(&parsed).map_err(|e| Error::decode("an object", e))?;
        Self::from_bytes(raw)
    }

    /// The JSON this object came as.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The dynamic tree, parsed at the first call.
    #[must_use]
    pub fn value(&self) -> &Value {
        // The head was read from the same bytes, so they are known to be JSON.
        self.value
            .get_or_init(|| serde_json::from_slice(&self.raw).unwrap_or(Value::Null))
    }

    /// A read-only typed view, made at the first call for this type.
    pub fn typed<T: DeserializeOwned + Send + Sync + 'static>(&self) -> Result<&T> {
        let mut cell = &self.views;
        loop {
            let view = match cell.get() {
                Some(view) => view,
                None => {
                    let parsed: T = serde_json::from_slice(&self.raw)
                        .map_err(|e| Error::decode(format!("{} {}", self.kind, self.key), e))?;
                    cell.get_or_init(|| {
                        Box::new(View {
                            value: Box::new(parsed),
                            next: OnceLock::new(),
                        })
                    })
                }
            };
            if let Some(found) = view.value.downcast_ref::<T>() {
                return Ok(found);
            }
            cell = &view.next;
        }
    }

    /// A typed copy that is not kept.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.raw)
            .map_err(|e| Error::decode(format!("{} {}", self.kind, self.key), e))
    }

    /// The metadata read at arrival.
    #[must_use]
    pub fn meta(&self) -> &Metadata {
        &self.meta
    }

    /// `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> &str {
        &self.api_version
    }

    /// `kind`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.meta.name
    }

    /// `metadata.namespace`; empty for cluster-scoped objects.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.meta.namespace
    }

    /// The namespace as request functions take it.
    #[must_use]
    pub fn ns(&self) -> Option<&str> {
        Some(self.namespace()).filter(|ns| !ns.is_empty())
    }

    /// `metadata.uid`.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.meta.uid
    }

    /// `metadata.resourceVersion`.
    #[must_use]
    pub fn resource_version(&self) -> &str {
        &self.meta.resource_version
    }

    /// `namespace/name`, or `name` for cluster-scoped objects: the key of informers and queues.
    #[must_use]
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// A label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.meta.labels.get(name).map(String::as_str)
    }

    /// An annotation.
    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.value()
            .get("metadata")?
            .get("annotations")?
            .get(name)?
            .as_str()
    }

    /// Whether deletion was asked for.
    #[must_use]
    pub fn is_deleting(&self) -> bool {
        self.meta.deletion_timestamp.is_some()
    }

    /// The owner with `controller: true`.
    #[must_use]
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.meta
            .owner_references
            .iter()
            .find(|owner| owner.controller)
    }

    /// Whether the finalizer is set.
    #[must_use]
    pub fn has_finalizer(&self, name: &str) -> bool {
        self.meta.finalizers.iter().any(|f| f == name)
    }
}

/// `namespace/name`, or `name` where the namespace is empty.
#[must_use]
pub fn key(namespace: &str, name: &str) -> Arc<str> {
    if namespace.is_empty() {
        name.into()
    } else {
        format!("{namespace}/{name}").into()
    }
}

/// The two parts of a key; the namespace is empty for cluster-scoped objects.
#[must_use]
pub fn split_key(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap_or(("", key))
}

fn null_as_default<'de, D, T>(deserializer: D) -> std::result::Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resources::PODS;

    #[derive(Deserialize)]
    struct Replicas {
        spec: Spec,
    }
    #[derive(Deserialize)]
    struct Spec {
        replicas: i32,
    }
    #[derive(Deserialize)]
    struct Named {
        metadata: Metadata,
    }

    fn sample() -> Object {
        Obj::from_value(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "labels": null,
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "x", "controller": true}]},
            "spec": {"replicas": 3}, "status": {"big": "thing"}}))
        .unwrap()
    }

    #[test]
    fn views_of_several_types_live_side_by_side() {
        let object = sample();
        assert_eq!(object.typed::<Replicas>().unwrap().spec.replicas, 3);
        assert_eq!(object.typed::<Named>().unwrap().metadata.name, "a");
        assert_eq!(object.typed::<Replicas>().unwrap().spec.replicas, 3);
        assert_eq!(&**object.key(), "n/a");
        assert_eq!(object.controller().unwrap().uid, "x");
    }

    #[test]
    fn metadata_only_drops_the_rest() {
        let object = sample().metadata_only().unwrap();
        assert!(object.value().get("spec").is_none());
        assert_eq!(object.uid(), "u");
    }

    #[test]
    fn items_without_kind_get_it_from_the_resource() {
        let object =
            Obj::from_item(Bytes::from_static(br#"{"metadata":{"name":"p"}}"#), &PODS).unwrap();
        assert_eq!((object.api_version(), object.kind()), ("v1", "Pod"));
        assert_eq!(object.value()["kind"], "Pod");
    }
}
