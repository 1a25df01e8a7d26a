//! A Pod made from a template.

use k3s_client::{Obj, Resource};
use k3s_meta::tree;
use serde_json::{Value, json};

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
    let mut metadata = json!({
        "generateName": format!("{}-", owner.name()),
        "namespace": owner.namespace(),
        "ownerReferences": [controller_reference(owner, resource)],
    });
    for field in ["labels", "annotations", "finalizers"] {
        let inherited = tree::get(template, &format!("metadata.{field}"));
        if let Some(value) = inherited {
            tree::set(&mut metadata, field, value.clone());
        }
    }
    let spec = template.get("spec").cloned();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec.unwrap_or_else(|| json!({})),
    })
}
