//! Defaults of namespaces.

use k3s_meta::tree;
use serde_json::Value;

/// Every namespace can be selected by its name, and is active until it is deleted.
pub(super) fn default(namespace: &mut Value) {
    let name = tree::text(namespace, "metadata.name").to_owned();
    if !name.is_empty()
        && let Some(labels) = tree::ensure(namespace, "metadata.labels")
    {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
    }
    tree::ensure(namespace, "spec");
    tree::set_zero(namespace, "status.phase", "Active");
}
