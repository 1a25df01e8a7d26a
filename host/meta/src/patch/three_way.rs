//! Three-way patches, as `kubectl apply` makes them: what the last applied document had and the new one
//! lacks is deleted; what the new one has and the live object differs in is set; the rest is left alone.

use super::PatchError;
use super::diff::{Want, diff_maps, object};
use super::keyed::{self, settle};
use super::merge::create_merge_patch;
use super::schema::PatchSchema;
use super::strategic::{Into, merge_map};
use crate::tree;
use serde_json::{Map, Value};

/// The strategic merge patch to send. `original` is the last applied document, null on first apply. A patch that
/// replaces a list has the resource version that it was made for.
pub fn three_way_strategic(
    original: &Value,
    modified: &Value,
    current: &Value,
    schema: &dyn PatchSchema,
) -> Result<Value, PatchError> {
    let (original, current) = (object(original), object(current));
    let modified = settle(&original, object(modified), &current, schema)?;
    let mut patch = Value::Object(delta(&original, &modified, &current, schema)?);
    let revision = current
        .get("metadata")
        .and_then(|m| m.get("resourceVersion"));
    if let Some(revision) = revision.filter(|_| keyed::replaces(&patch)) {
        let metadata = tree::ensure(&mut patch, "metadata");
        metadata.map(|m| m.insert("resourceVersion".to_owned(), revision.clone()));
    }
    same_identity(patch)
}

/// What turns `current` into an object that has `modified` and lacks what only `original` had.
pub(super) fn delta(
    original: &Map<String, Value>,
    modified: &Map<String, Value>,
    current: &Map<String, Value>,
    schema: &dyn PatchSchema,
) -> Result<Map<String, Value>, PatchError> {
    let changes = Want {
        deletions: false,
        changes: true,
        element_order: true,
    };
    let deletions = Want {
        deletions: true,
        changes: false,
        element_order: true,
    };
    let set = diff_maps(current, modified, schema, changes, false)?;
    let gone = diff_maps(original, modified, schema, deletions, false)?;
    merge_map(gone, set, schema, Into::Patch)
}

/// The JSON merge patch to send, for kinds without a strategic schema.
pub fn three_way_json(
    original: &Value,
    modified: &Value,
    current: &Value,
) -> Result<Value, PatchError> {
    let mut patch = without_nulls(&create_merge_patch(current, modified))
        .unwrap_or_else(|| Value::Object(Map::new()));
    if let Some(gone) = only_nulls(&create_merge_patch(original, modified)) {
        overlay(&mut patch, gone);
    }
    same_identity(patch)
}

/// A patch that would turn the object into another one is refused.
fn same_identity(patch: Value) -> Result<Value, PatchError> {
    let renamed = patch.get("metadata").and_then(|m| m.get("name")).is_some();
    if renamed || patch.get("apiVersion").is_some() || patch.get("kind").is_some() {
        return Err(PatchError::DoesNotApply(
            "at least one of apiVersion, kind and name was changed".to_owned(),
        ));
    }
    Ok(patch)
}

/// None when nothing but nulls was there; a map that was empty from the start is a value and stays.
fn without_nulls(v: &Value) -> Option<Value> {
    match v {
        Value::Null => None,
        Value::Object(map) => {
            let kept: Map<_, _> = map
                .iter()
                .filter_map(|(k, v)| Some((k.clone(), without_nulls(v)?)))
                .collect();
            (map.is_empty() || !kept.is_empty()).then_some(Value::Object(kept))
        }
        other => Some(other.clone()),
    }
}

fn only_nulls(v: &Value) -> Option<Value> {
    match v {
        Value::Null => Some(Value::Null),
        Value::Object(map) => {
            let kept: Map<_, _> = map
                .iter()
                .filter_map(|(k, v)| Some((k.clone(), only_nulls(v)?)))
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        _ => None,
    }
}

fn overlay(target: &mut Value, from: Value) {
    match (target, from) {
        (Value::Object(target), Value::Object(from)) => {
            for (key, value) in from {
                overlay(
                    target
                        .entry(key)
                        .or_insert_with(|| Value::Object(Map::new())),
                    value,
                );
            }
        }
        (target, from) => *target = from,
    }
}
