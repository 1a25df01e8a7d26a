//! The finalizer that holds a namespace until its content is gone.

use k3s_meta::tree;
use serde_json::{Value, json};

/// Name of the finalizer that the namespace controller removes.
pub const KUBERNETES: &str = "kubernetes";

/// Adds the finalizer to a new namespace.
pub(super) fn add(namespace: &mut Value) {
    let present = tree::texts(namespace, "spec.finalizers").contains(&KUBERNETES);
    if !present {
        let mut finalizers = tree::list(namespace, "spec.finalizers").to_vec();
        finalizers.push(json!(KUBERNETES));
        tree::set(namespace, "spec.finalizers", finalizers);
    }
}

/// `/finalize`: only `spec.finalizers` changes.
pub fn prepare_finalize(new: &mut Value, old: &Value) {
    let finalizers = tree::get(new, "spec.finalizers").cloned();
    tree::copy(new, old, "status");
    match finalizers {
        Some(finalizers) => tree::set(new, "spec.finalizers", finalizers),
        None => drop(tree::remove(new, "spec.finalizers")),
    }
}

/// What deletion of a namespace does to it besides setting the deletion timestamp.
pub fn mark_terminating(namespace: &mut Value) {
    tree::set(namespace, "status.phase", "Terminating");
}

/// Whether nothing holds the namespace any more, so that it may be removed from storage.
#[must_use]
pub fn is_finalized(namespace: &Value) -> bool {
    !tree::has(namespace, "spec.finalizers")
}
