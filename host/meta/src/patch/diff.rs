//! Making strategic merge patches: what to send so that one document becomes another.

use super::PatchError;
use super::keyed;
use super::lists::{self, DIRECTIVE, Items};
use super::schema::{PatchField, PatchSchema, look_up};
use super::strategic::{DELETE_FROM_LIST, ELEMENT_ORDER, RETAIN_KEYS};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

type Object = Map<String, Value>;

/// Which half of the difference is wanted.
#[derive(Clone, Copy)]
pub(super) struct Want {
    pub(super) deletions: bool,
    pub(super) changes: bool,
    pub(super) element_order: bool,
}

/// The patch that turns `from` into `to`.
pub fn two_way_strategic(
    from: &Value,
    to: &Value,
    schema: &dyn PatchSchema,
) -> Result<Value, PatchError> {
    let want = Want {
        deletions: true,
        changes: true,
        element_order: true,
    };
    Ok(Value::Object(diff_maps(
        &object(from),
        &object(to),
        schema,
        want,
        false,
    )?))
}

pub(super) fn object(v: &Value) -> Object {
    v.as_object().cloned().unwrap_or_default()
}

pub(super) fn diff_maps(
    from: &Object,
    to: &Object,
    schema: &dyn PatchSchema,
    want: Want,
    retain_keys: bool,
) -> Result<Object, PatchError> {
    let mut patch = Object::new();
    for (key, new) in to {
        match (from.get(key), new) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                diff_map_field(&mut patch, key, old, new, &look_up(schema, key), want)?;
            }
            (Some(Value::Array(old)), Value::Array(new)) => {
                diff_list_field(&mut patch, key, old, new, &look_up(schema, key), want)?;
            }
            (old, new) if want.changes && old != Some(new) => {
                drop(patch.insert(key.clone(), new.clone()))
            }
            _ => {}
        }
    }
    if want.deletions {
        let gone = from.keys().filter(|k| !to.contains_key(*k));
        patch.extend(gone.map(|k| (k.clone(), Value::Null)));
    }
    let retained: Vec<Value> = to
        .iter()
        .filter(|(_, v)| !v.is_null())
        .map(|(k, _)| Value::from(k.as_str()))
        .collect();
    let loses_keys = from.keys().any(|k| !to.contains_key(k));
    if retain_keys && !retained.is_empty() && (!patch.is_empty() || loses_keys) {
        patch.insert(RETAIN_KEYS.to_owned(), Value::Array(retained));
    }
    Ok(patch)
}

fn diff_map_field(
    patch: &mut Object,
    key: &str,
    old: &Object,
    new: &Object,
    field: &PatchField<'_>,
    want: Want,
) -> Result<(), PatchError> {
    if field.strategy.replace {
        if want.changes && old != new {
            patch.insert(key.to_owned(), Value::Object(new.clone()));
        }
        return Ok(());
    }
    let inner =
        field.with_map(|schema| diff_maps(old, new, schema, want, field.strategy.retain_keys))?;
    if !inner.is_empty() {
        patch.insert(key.to_owned(), Value::Object(inner));
    }
    Ok(())
}

fn diff_list_field(
    patch: &mut Object,
    key: &str,
    old: &[Value],
    new: &[Value],
    field: &PatchField<'_>,
    want: Want,
) -> Result<(), PatchError> {
    if !field.strategy.merge {
        if want.changes && old != new {
            patch.insert(key.to_owned(), Value::Array(new.to_vec()));
        }
        return Ok(());
    }
    if field.is_keyed() {
        if want.changes && old != new {
            patch.insert(key.to_owned(), keyed::replacement(new));
        }
        return Ok(());
    }
    let diff = diff_lists(old, new, field, want)?;
    for (prefix, list) in [
        ("", diff.items),
        (DELETE_FROM_LIST, diff.deleted),
        (ELEMENT_ORDER, diff.order),
    ] {
        if !list.is_empty() {
            let key = if prefix.is_empty() {
                key.to_owned()
            } else {
                format!("{prefix}/{key}")
            };
            patch.insert(key, Value::Array(list));
        }
    }
    Ok(())
}

#[derive(Default)]
struct ListDiff {
    items: Vec<Value>,
    deleted: Vec<Value>,
    order: Vec<Value>,
}

fn diff_lists(
    old: &[Value],
    new: &[Value],
    field: &PatchField<'_>,
    want: Want,
) -> Result<ListDiff, PatchError> {
    if old.is_empty() {
        let items = if want.changes {
            new.to_vec()
        } else {
            Vec::new()
        };
        return Ok(ListDiff {
            items,
            ..ListDiff::default()
        });
    }
    match lists::items_of([old, new])? {
        None => Ok(ListDiff::default()),
        Some(Items::Scalars) => Ok(diff_scalars(old, new, want)),
        Some(Items::Maps) => diff_maps_lists(old, new, field, want),
    }
}

fn diff_scalars(old: &[Value], new: &[Value], want: Want) -> ListDiff {
    let added = if want.changes {
        lists::without(new.to_vec(), old)
    } else {
        Vec::new()
    };
    let deleted = if want.deletions {
        lists::without(old.to_vec(), new)
    } else {
        Vec::new()
    };
    let ordered = want.element_order && (!deleted.is_empty() || (want.changes && old != new));
    let order = if ordered { new.to_vec() } else { Vec::new() };
    ListDiff {
        items: lists::deduplicate(added),
        deleted: lists::deduplicate(deleted),
        order,
    }
}

fn diff_maps_lists(
    old: &[Value],
    new: &[Value],
    field: &PatchField<'_>,
    want: Want,
) -> Result<ListDiff, PatchError> {
    let Some(merge_key) = field.merge_key else {
        return Err(PatchError::DoesNotApply(
            "cannot diff lists without merge key for type map".to_owned(),
        ));
    };
    let old_keys = lists::keys_of(old, Some(merge_key))?;
    let new_keys = lists::keys_of(new, Some(merge_key))?;
    let old_by_key: HashMap<&str, &Value> = old_keys.iter().map(String::as_str).zip(old).collect();
    let mut items = Vec::new();
    for (key, item) in new_keys.iter().zip(new) {
        match old_by_key.get(key.as_str()) {
            Some(before) => items.extend(changed_item(before, item, merge_key, field, want)?),
            None if want.changes => items.push(item.clone()),
            None => {}
        }
    }
    if want.deletions {
        let kept: HashSet<&str> = new_keys.iter().map(String::as_str).collect();
        let gone = old_keys
            .iter()
            .zip(old)
            .filter(|(key, _)| !kept.contains(key.as_str()));
        items.extend(gone.map(|(_, item)| deletion(item, merge_key)));
    }
    let reordered = !same_order(&old_keys, &new_keys);
    let ordered = want.element_order && (!items.is_empty() || (want.changes && reordered));
    let only_key = |item: &Value| serde_json::json!({ merge_key: item.get(merge_key) });
    let order = if ordered {
        new.iter().map(only_key).collect()
    } else {
        Vec::new()
    };
    Ok(ListDiff {
        items,
        deleted: Vec::new(),
        order,
    })
}

fn changed_item(
    old: &Value,
    new: &Value,
    merge_key: &str,
    field: &PatchField<'_>,
    want: Want,
) -> Result<Option<Value>, PatchError> {
    let mut diff = diff_maps(
        &object(old),
        &object(new),
        field.items(),
        want,
        field.strategy.retain_keys,
    )?;
    if diff.is_empty() {
        return Ok(None);
    }
    diff.insert(
        merge_key.to_owned(),
        new.get(merge_key).cloned().unwrap_or_default(),
    );
    Ok(Some(Value::Object(diff)))
}

fn deletion(item: &Value, merge_key: &str) -> Value {
    serde_json::json!({ merge_key: item.get(merge_key), DIRECTIVE: "delete" })
}

/// Whether the items that both lists have stand in the same order.
fn same_order(old: &[String], new: &[String]) -> bool {
    let (in_old, in_new) = (lists::positions(old), lists::positions(new));
    let left = old.iter().filter(|k| in_new.contains_key(k.as_str()));
    let right = new.iter().filter(|k| in_old.contains_key(k.as_str()));
    left.eq(right)
}
