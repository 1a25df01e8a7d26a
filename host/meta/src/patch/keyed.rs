//! Lists whose items are told apart by more than the merge key, such as ports of one number by their protocol. A
//! strategic merge patch cannot say which item it means, so the client merges these lists by all of their keys, as
//! server-side apply does, and sends the result whole.

use super::PatchError;
use super::diff::object;
use super::lists::{self, DIRECTIVE};
use super::schema::{PatchField, PatchSchema, look_up};
use super::strategic::{Into, merge_map};
use super::three_way::delta;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};

type Object = Map<String, Value>;

/// `modified` with what its keyed lists shall be in the end: its own items over those of `current`, less what
/// `original` had and it has not.
pub(super) fn settle(
    original: &Object,
    mut modified: Object,
    current: &Object,
    schema: &dyn PatchSchema,
) -> Result<Object, PatchError> {
    for (key, new) in &mut modified {
        let field = look_up(schema, key);
        let before = original.get(key).unwrap_or(&Value::Null);
        match (&mut *new, current.get(key)) {
            (Value::Object(map), Some(Value::Object(live))) if !field.strategy.replace => {
                let map = std::mem::take(map);
                let settled = field.with_map(|s| settle(&object(before), map, live, s))?;
                *new = Value::Object(settled);
            }
            (Value::Array(list), Some(Value::Array(live))) if field.strategy.merge => {
                let before = before.as_array().map(Vec::as_slice).unwrap_or_default();
                let list = std::mem::take(list);
                *new = Value::Array(settle_list(before, list, live, &field)?);
            }
            _ => {}
        }
    }
    Ok(modified)
}

fn settle_list(
    original: &[Value],
    modified: Vec<Value>,
    current: &[Value],
    field: &PatchField<'_>,
) -> Result<Vec<Value>, PatchError> {
    if field.is_keyed() {
        return merge(original, modified, current, field);
    }
    let Some(merge_key) = field.merge_key else {
        return Ok(modified);
    };
    let find = |list: &[Value], item: &Value| {
        let same = |other: &&Value| other.get(merge_key) == item.get(merge_key);
        list.iter().find(same).map(object)
    };
    let settle_item = |item: Value| match (find(current, &item), item) {
        (Some(live), Value::Object(item)) => {
            let item = Value::Object(item);
            let before = find(original, &item).unwrap_or_default();
            settle(&before, object(&item), &live, field.items()).map(Value::Object)
        }
        (_, item) => Ok(item),
    };
    modified.into_iter().map(settle_item).collect()
}

fn merge(
    original: &[Value],
    modified: Vec<Value>,
    current: &[Value],
    field: &PatchField<'_>,
) -> Result<Vec<Value>, PatchError> {
    let key = |item: &Value| field.key_of(item);
    let by_key = |list: &[Value]| -> HashMap<String, Object> {
        list.iter().map(|item| (key(item), object(item))).collect()
    };
    let (before, mut live) = (by_key(original), by_key(current));
    let wanted: Vec<String> = modified.iter().map(key).collect();
    let mut merged = Vec::with_capacity(current.len() + modified.len());
    for (key, item) in wanted.iter().zip(modified) {
        let item = match live.remove(key) {
            Some(live) => {
                let before = before.get(key).cloned().unwrap_or_default();
                let patch = delta(&before, &object(&item), &live, field.items())?;
                Value::Object(merge_map(live, patch, field.items(), Into::Object)?)
            }
            None => item,
        };
        merged.push((key.clone(), item));
    }
    let named: HashSet<&String> = wanted.iter().collect();
    for item in current {
        let key = key(item);
        if !named.contains(&key) && !before.contains_key(&key) {
            merged.push((key, item.clone()));
        }
    }
    let server: Vec<String> = current.iter().map(key).collect();
    Ok(lists::arrange_keyed(merged, &wanted, &server))
}

/// A list that replaces the one that is there.
pub(super) fn replacement(list: &[Value]) -> Value {
    let directive = json!({ DIRECTIVE: "replace" });
    std::iter::once(&directive).chain(list).cloned().collect()
}

/// Whether a patch replaces a list, so that it must not be applied to another state than it was made for.
pub(super) fn replaces(patch: &Value) -> bool {
    match patch {
        Value::Array(list) => list
            .iter()
            .any(|item| replaces(item) || *item == json!({ DIRECTIVE: "replace" })),
        Value::Object(map) => map.values().any(replaces),
        _ => false,
    }
}
