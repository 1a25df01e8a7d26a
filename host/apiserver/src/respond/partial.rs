//! `meta.k8s.io/v1` PartialObjectMetadata: the metadata alone.

use serde_json::{Value, json};

/// The metadata of an object.
pub(crate) fn of(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.get("metadata").cloned().unwrap_or_default(),
    })
}
