//! A Pod made from a template.

use k3s_client::{Obj, Resource};
use k3s_meta::tree;
use serde_json::{Map, Value, json};

/// The owner reference that makes `owner` the managing controller.
pub(crate) fn controller_reference(owner: &Obj, resource: &Resource) -> Value {
    json!({
        "apiVersion": resource.api_version(),
        "kind": resource.kind,
        "name": owner.name(),
        "uid": owner.uid(),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// A Pod of `template` (a PodTemplateSpec) under `owner`, named by the server.
pub(crate) fn pod(template: &Value, owner: &Obj, resource: &Resource) -> Value {
    let mut metadata = Map::new();
    metadata.insert("generateName".into(), format!("{}-", owner.name()).into());
    metadata.insert("namespace".into(), owner.namespace().into());
    metadata.insert(
        "ownerReferences".into(),
        json!([controller_reference(owner, resource)]),
    );
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = tree::get(template, &format!("metadata.{field}")) {
            metadata.insert(field.into(), value.clone());
        }
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": template.get("spec").cloned().unwrap_or_else(|| json!({})),
    })
}
