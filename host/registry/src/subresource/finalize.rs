//! `namespaces/NAME/finalize`: the only way to change `spec.finalizers`.

use k3s_kinds::{validate_object_meta_update, validate_update};
use k3s_meta::{ErrorList, tree};
use serde_json::Value;

use crate::{Resource, Scope};

/// The change that `finalize` may make.
pub const FINALIZE: Scope = Scope::Part {
    subresource: "finalize",
    prepare,
    validate,
};

fn prepare(new: &mut Value, old: &Value) {
    let finalizers = tree::get(new, "spec.finalizers").cloned();
    if let Some(status) = old.get("status") {
        tree::set(new, "status", status.clone());
    }
    tree::set(new, "spec", old.get("spec").cloned().unwrap_or_default());
    match finalizers.filter(|list| list.as_array().is_some_and(|list| !list.is_empty())) {
        Some(list) => tree::set(new, "spec.finalizers", list),
        None => drop(tree::remove(new, "spec.finalizers")),
    }
}

fn validate(resource: &Resource, new: &Value, old: &Value) -> ErrorList {
    if tree::list(new, "spec.finalizers").is_empty() {
        return validate_object_meta_update(new, old);
    }
    validate_update(&*resource.rules, new, old, false)
}
