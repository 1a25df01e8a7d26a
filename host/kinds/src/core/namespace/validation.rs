//! Validation of the finalizers and the phase of a namespace.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::object_meta::{validate_finalizer_name, validate_meta_update};

/// Finalizers that need no domain (`IsStandardFinalizerName`).
const STANDARD: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// Upstream names the list, not the finalizer in it; where finalizers alone change it names that one.
pub(super) fn validate(namespace: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec.finalizers");
    for finalizer in tree::texts(namespace, "spec.finalizers") {
        errors.append(finalizer_name(finalizer, &path));
    }
    errors
}

/// `ValidateNamespaceFinalizeUpdate`.
pub(super) fn validate_finalize(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate_meta_update(new, old, false);
    let path = Path::new("spec.finalizers");
    let finalizers = tree::texts(new, "spec.finalizers");
    for (index, finalizer) in finalizers.into_iter().enumerate() {
        errors.append(finalizer_name(finalizer, &path.index(index)));
    }
    errors
}

fn finalizer_name(finalizer: &str, path: &Path) -> ErrorList {
    let mut errors = validate_finalizer_name(finalizer, path);
    if !finalizer.contains('/') && !STANDARD.contains(&finalizer) {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        errors.push(field::invalid(path, finalizer, detail));
    }
    errors
}

pub(super) fn validate_status_update(new: &Value, _old: &Value) -> ErrorList {
    let path = Path::new("status.Phase");
    let phase = tree::text(new, "status.phase");
    let deleted = tree::has(new, "metadata.deletionTimestamp");
    match (deleted, phase) {
        (false, phase) if phase != "Active" => field::invalid(
            &path,
            phase,
            "may only be 'Active' if `deletionTimestamp` is empty",
        )
        .into(),
        (true, phase) if phase != "Terminating" => field::invalid(
            &path,
            phase,
            "may only be 'Terminating' if `deletionTimestamp` is not empty",
        )
        .into(),
        _ => ErrorList::new(),
    }
}
