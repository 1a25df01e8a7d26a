//! System metadata of an object: the fields that the server alone writes.

use k3s_base::Random;
use k3s_meta::{object, tree};
use serde_json::{Map, Value};

/// The metadata map, made where missing.
pub(crate) fn map(value: &mut Value) -> Option<&mut Map<String, Value>> {
    tree::ensure(value, "metadata")
}

pub(crate) fn set(value: &mut Value, key: &str, to: impl Into<Value>) {
    if let Some(meta) = map(value) {
        meta.insert(key.to_owned(), to.into());
    }
}

pub(crate) fn remove(value: &mut Value, key: &str) {
    if let Some(meta) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove(key);
    }
}

/// Removes what only the server sets and no new object has (`WipeObjectMetaSystemFields`).
pub(crate) fn wipe(value: &mut Value) {
    for key in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "managedFields",
    ] {
        remove(value, key);
    }
}

/// Makes a field of the metadata what it is in `old`, missing included.
pub(crate) fn keep(new: &mut Value, old: &Value, key: &str) {
    match old.get("metadata").and_then(|meta| meta.get(key)) {
        Some(kept) => set(new, key, kept.clone()),
        None => remove(new, key),
    }
}

pub(crate) fn set_revision(value: &mut Value, revision: u64) {
    set(value, "resourceVersion", revision.to_string());
}

/// A fresh random (version 4) UID.
pub(crate) fn new_uid(random: &Random) -> String {
    uuid::Builder::from_random_bytes(random.bytes())
        .into_uuid()
        .to_string()
}

pub(crate) fn grace_period(value: &Value) -> Option<i64> {
    tree::int(value, "metadata.deletionGracePeriodSeconds")
}

pub(crate) fn set_finalizers(value: &mut Value, finalizers: Vec<String>) {
    if finalizers.is_empty() {
        remove(value, "finalizers");
    } else {
        set(value, "finalizers", finalizers);
    }
}

/// Deletion has been asked for: one more generation, since controllers act on it.
pub(crate) fn bump_generation(value: &mut Value) {
    let generation = object::generation(value);
    if generation > 0 {
        set(value, "generation", generation.saturating_add(1));
    }
}
