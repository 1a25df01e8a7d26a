//! Strategic merge patch: maps merge, lists merge by key where the schema says so, and directives
//! (`$patch`, `$retainKeys`, `$setElementOrder`, `$deleteFromPrimitiveList`) say the rest.
//! The rules are those of upstream's `util/strategicpatch`.

use super::PatchError;
use super::lists::{self, DIRECTIVE, Items};
use super::schema::{PatchField, PatchSchema, look_up};
use crate::json_syntax::type_name;
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

pub(super) const RETAIN_KEYS: &str = "$retainKeys";
pub(super) const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
pub(super) const ELEMENT_ORDER: &str = "$setElementOrder";

type Object = Map<String, Value>;

/// What the patch is merged into.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Into {
    /// An object: directives act, nulls delete.
    Object,
    /// Another patch: directives and nulls are kept for whoever applies the result.
    Patch,
}

/// Applies a strategic merge patch to an object of the schema's type. On error `doc` is unchanged.
pub fn strategic_merge(
    doc: &mut Value,
    patch: &Value,
    schema: &dyn PatchSchema,
) -> Result<(), PatchError> {
    let Value::Object(patch) = patch else {
        let message = format!(
            "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            type_name(patch)
        );
        return Err(PatchError::Malformed(message));
    };
    let original = doc.as_object().cloned().unwrap_or_default();
    *doc = Value::Object(merge_map(original, patch.clone(), schema, Into::Object)?);
    Ok(())
}

pub(super) fn merge_map(
    mut original: Object,
    mut patch: Object,
    schema: &dyn PatchSchema,
    into: Into,
) -> Result<Object, PatchError> {
    if let Some(directive) = patch.remove(DIRECTIVE) {
        match directive.as_str() {
            Some("replace") => return Ok(clean_map(patch)),
            Some("delete") => return Ok(Object::new()),
            Some("merge") => {}
            _ => return Err(unknown_directive(&directive, patch)),
        }
    }
    retain_keys(&mut original, &mut patch, into)?;
    merge_ordered_lists(&mut original, &mut patch, schema, into)?;
    for (key, value) in patch {
        match key.strip_prefix(DELETE_FROM_LIST) {
            None => merge_field(&mut original, key, value, schema, into)?,
            Some(_) if into == Into::Patch => drop(original.insert(key, value)),
            Some(rest) => delete_from_list(&mut original, rest, &value)?,
        }
    }
    Ok(original)
}

fn unknown_directive(directive: &Value, mut patch: Object) -> PatchError {
    patch.insert(DIRECTIVE.to_owned(), directive.clone());
    let (directive, patch) = (
        lists::go_text(directive),
        lists::go_text(&Value::Object(patch)),
    );
    PatchError::Unmergeable(format!("unknown patch type: {directive} in map: {patch}"))
}

fn merge_field(
    original: &mut Object,
    key: String,
    value: Value,
    schema: &dyn PatchSchema,
    into: Into,
) -> Result<(), PatchError> {
    if value.is_null() {
        match into {
            Into::Object => original.remove(&key),
            Into::Patch => original.insert(key, Value::Null),
        };
        return Ok(());
    }
    let merged = match (original.remove(&key), value) {
        (Some(Value::Object(old)), Value::Object(new)) => {
            let field = look_up(schema, &key);
            let map = match field.strategy.replace {
                true => clean_map(new),
                false => field.with_map(|schema| merge_map(old, new, schema, into))?,
            };
            Some(Value::Object(map))
        }
        (Some(Value::Array(old)), Value::Array(new)) => Some(Value::Array(merge_list(
            old,
            new,
            &look_up(schema, &key),
            into,
        )?)),
        (_, new) if into == Into::Patch => Some(new),
        (_, new) => clean(new),
    };
    original.extend(merged.map(|v| (key, v)));
    Ok(())
}

/// What remains of a patch value that has nothing to merge with: no directives, no nulls, nothing that
/// was only there to be deleted.
fn clean(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.get(DIRECTIVE).and_then(Value::as_str) == Some("delete") => None,
        Value::Object(map) => Some(Value::Object(clean_map(map))),
        Value::Array(list) => Some(Value::Array(clean_list(list))),
        other => Some(other),
    }
}

fn clean_map(map: Object) -> Object {
    let is_directive = |key: &str| {
        key == DIRECTIVE
            || key == RETAIN_KEYS
            || key.starts_with(ELEMENT_ORDER)
            || key.starts_with(DELETE_FROM_LIST)
    };
    let keep = map
        .into_iter()
        .filter(|(key, value)| !value.is_null() && !is_directive(key));
    keep.filter_map(|(key, value)| Some((key, clean(value)?)))
        .collect()
}

/// An item that only says `$patch: replace` is the instruction itself, not a member.
fn clean_list(list: Vec<Value>) -> Vec<Value> {
    let bare_directive = |v: &Value| {
        v.as_object()
            .is_some_and(|m| m.len() == 1 && m.contains_key(DIRECTIVE))
    };
    list.into_iter()
        .filter(|v| !bare_directive(v))
        .filter_map(clean)
        .collect()
}

/// `$retainKeys`: whatever the list does not name goes; the patch may not set what it does not name.
fn retain_keys(original: &mut Object, patch: &mut Object, into: Into) -> Result<(), PatchError> {
    let Some(directive) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    if into == Into::Patch {
        original.entry(RETAIN_KEYS).or_insert(directive);
        return Ok(());
    }
    let malformed = || PatchError::Malformed("invalid patch format of retainKeys".to_owned());
    let list = directive.as_array().ok_or_else(malformed)?;
    let keep: HashSet<&str> = list.iter().filter_map(Value::as_str).collect();
    let is_list_directive =
        |key: &str| key.starts_with(DELETE_FROM_LIST) || key.starts_with(ELEMENT_ORDER);
    if patch
        .iter()
        .any(|(k, v)| !v.is_null() && !is_list_directive(k) && !keep.contains(k.as_str()))
    {
        return Err(malformed());
    }
    original.retain(|key, _| keep.contains(key.as_str()));
    Ok(())
}

/// `$deleteFromPrimitiveList/field`: `rest` is what follows the directive's name.
fn delete_from_list(original: &mut Object, rest: &str, gone: &Value) -> Result<(), PatchError> {
    let malformed = || PatchError::Malformed("invalid patch format of primitive list".to_owned());
    let field = rest.strip_prefix('/').ok_or_else(malformed)?;
    let gone = gone.as_array().ok_or_else(malformed)?;
    if let Some(Value::Array(list)) = original.get_mut(field) {
        let kept = lists::without(std::mem::take(list), gone);
        *list = kept;
    }
    Ok(())
}

/// Merges the lists that come with a `$setElementOrder`, and takes both out of the patch.
fn merge_ordered_lists(
    original: &mut Object,
    patch: &mut Object,
    schema: &dyn PatchSchema,
    into: Into,
) -> Result<(), PatchError> {
    let directives: Vec<String> = patch
        .keys()
        .filter(|k| k.starts_with(ELEMENT_ORDER))
        .cloned()
        .collect();
    for directive in directives {
        let Some(order) = patch.remove(&directive) else {
            continue;
        };
        if into == Into::Patch {
            let kept = original
                .entry(directive.as_str())
                .or_insert_with(|| order.clone());
            if *kept != order {
                return Err(bad_order());
            }
        }
        let Value::Array(order) = order else {
            return Err(bad_order());
        };
        let field = directive
            .strip_prefix(ELEMENT_ORDER)
            .and_then(|r| r.strip_prefix('/'))
            .ok_or_else(bad_order)?;
        merge_ordered_list(
            original,
            patch,
            field,
            &order,
            &look_up(schema, field),
            into,
        )?;
    }
    Ok(())
}

fn bad_order() -> PatchError {
    PatchError::Malformed("invalid patch format of setElementOrder list".to_owned())
}

fn take_list(map: &mut Object, field: &str) -> Result<Option<Vec<Value>>, PatchError> {
    match map.remove(field) {
        None => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list)),
        // A list that is deleted as a whole has no order; what follows deletes it.
        Some(Value::Null) => Ok(None),
        Some(other) => Err(PatchError::Unmergeable(format!(
            "expected a []interface {{}}, but received a {}",
            type_name(&other)
        ))),
    }
}

fn merge_ordered_list(
    original: &mut Object,
    patch: &mut Object,
    name: &str,
    order: &[Value],
    field: &PatchField<'_>,
    into: Into,
) -> Result<(), PatchError> {
    let deleted = patch.get(name).is_some_and(Value::is_null);
    if deleted {
        return Ok(());
    }
    let old = take_list(original, name)?;
    let new = take_list(patch, name)?;
    let merge_key = field.merge_key;
    lists::check_order(new.as_deref().unwrap_or_default(), order, merge_key)?;
    let server_order = lists::keys_of(old.as_deref().unwrap_or_default(), merge_key)?;
    let gone = format!("{DELETE_FROM_LIST}/{name}");
    let merged = match (old, new) {
        (None, None) => return Ok(()),
        (Some(old), None) => old,
        (None, Some(new)) if into == Into::Object => clean_list(new),
        (None, Some(new)) => new,
        (Some(old), Some(new)) => merge_list(old, new, field, into)?,
    };
    let merged = match patch.get(&gone) {
        Some(Value::Array(items)) if into == Into::Object => {
            let kept = lists::without(merged, items);
            patch.remove(&gone);
            kept
        }
        _ => merged,
    };
    let order = lists::keys_of(order, merge_key)?;
    original.insert(
        name.to_owned(),
        Value::Array(lists::arrange(merged, &order, &server_order, merge_key)?),
    );
    Ok(())
}

fn merge_list(
    old: Vec<Value>,
    new: Vec<Value>,
    field: &PatchField<'_>,
    into: Into,
) -> Result<Vec<Value>, PatchError> {
    if !field.strategy.merge {
        return Ok(if into == Into::Object {
            clean_list(new)
        } else {
            new
        });
    }
    match lists::items_of([&old, &new])? {
        None => Ok(old),
        Some(Items::Scalars) => merge_scalars(old, new),
        Some(Items::Maps) => merge_maps(old, new, field, into),
    }
}

fn merge_scalars(mut old: Vec<Value>, new: Vec<Value>) -> Result<Vec<Value>, PatchError> {
    let server_order = lists::keys_of(&old, None)?;
    let patch_order = lists::keys_of(&new, None)?;
    old.extend(new);
    lists::arrange(lists::deduplicate(old), &patch_order, &server_order, None)
}

fn merge_maps(
    old: Vec<Value>,
    new: Vec<Value>,
    field: &PatchField<'_>,
    into: Into,
) -> Result<Vec<Value>, PatchError> {
    let Some(merge_key) = field.merge_key else {
        return Err(PatchError::Unmergeable(
            "cannot merge lists without merge key for type map".to_owned(),
        ));
    };
    let special = take_directives(new, merge_key)?;
    if special.replace {
        return Ok(clean_list(special.rest));
    }
    let mut merged = old;
    if !special.deleted.is_empty() {
        merged.retain(|item| {
            item.get(merge_key)
                .is_none_or(|k| !special.deleted.contains(&k.to_string()))
        });
    }
    let server_order = lists::keys_of(&merged, Some(merge_key))?;
    let patch_order = lists::keys_of(&special.rest, Some(merge_key))?;
    let mut index: HashMap<String, usize> = HashMap::with_capacity(server_order.len());
    for (i, key) in server_order.iter().enumerate() {
        index.entry(key.clone()).or_insert(i);
    }
    for (key, item) in patch_order.iter().zip(special.rest) {
        let slot = index.get(key).and_then(|i| merged.get_mut(*i));
        match (slot, item) {
            (Some(Value::Object(slot)), Value::Object(item)) => {
                *slot = merge_map(std::mem::take(slot), item, field.items(), into)?;
            }
            (_, item) => {
                index.insert(key.clone(), merged.len());
                // An item without directives to delete it survives cleaning, so the index stays true.
                merged.push(if into == Into::Object {
                    clean(item).unwrap_or_default()
                } else {
                    item
                });
            }
        }
    }
    lists::arrange(merged, &patch_order, &server_order, Some(merge_key))
}

struct Special {
    rest: Vec<Value>,
    deleted: HashSet<String>,
    replace: bool,
}

/// Splits a patch list into its members and what its directives say.
fn take_directives(list: Vec<Value>, merge_key: &str) -> Result<Special, PatchError> {
    let mut special = Special {
        rest: Vec::with_capacity(list.len()),
        deleted: HashSet::new(),
        replace: false,
    };
    for mut item in list {
        let Some(directive) = item.get(DIRECTIVE).cloned() else {
            special.rest.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => drop(
                special
                    .deleted
                    .insert(lists::key_of(&item, Some(merge_key))?),
            ),
            // The rest of the list is what stays; an item may carry the directive along with content.
            Some("replace") => {
                special.replace = true;
                if item.as_object().is_some_and(|m| m.len() > 1) {
                    special.rest.push(item);
                }
            }
            Some("merge") => {
                item.as_object_mut().and_then(|m| m.remove(DIRECTIVE));
                special.rest.push(item);
            }
            _ => {
                return Err(unknown_directive(
                    &directive,
                    item.as_object().cloned().unwrap_or_default(),
                ));
            }
        }
    }
    Ok(special)
}
