//! Lists in strategic merge patches: matching by key and the order of the result.
//!
//! Everything is indexed by the text of the key, so that work grows with the length of the lists and
//! not with its square: patches come from clients.

use super::PatchError;
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

pub(super) const DIRECTIVE: &str = "$patch";

/// What a list's items are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Items {
    Maps,
    Scalars,
}

/// The common type of all items of both lists; lists of lists and mixed lists are refused. None when
/// both lists are empty.
pub(super) fn items_of(lists: [&[Value]; 2]) -> Result<Option<Items>, PatchError> {
    let mut all = lists.into_iter().flatten();
    let Some(first) = all.next() else {
        return Ok(None);
    };
    if first.is_array() {
        return Err(PatchError::DoesNotApply(
            "lists of lists are not supported".to_owned(),
        ));
    }
    if all.any(|v| std::mem::discriminant(v) != std::mem::discriminant(first)) {
        let text = format!(
            "list element types are not identical: [{} {}]",
            go_list(lists[0]),
            go_list(lists[1])
        );
        return Err(PatchError::Unmergeable(text));
    }
    Ok(Some(if first.is_object() {
        Items::Maps
    } else {
        Items::Scalars
    }))
}

/// A value as Go's `%v` prints it.
pub fn go_text(v: &Value) -> String {
    match v {
        Value::Null => "<nil>".to_owned(),
        Value::String(s) => s.clone(),
        Value::Array(list) => go_list(list),
        Value::Object(map) => go_map(map),
        other => other.to_string(),
    }
}

fn go_list(list: &[Value]) -> String {
    format!(
        "[{}]",
        list.iter().map(go_text).collect::<Vec<_>>().join(" ")
    )
}

fn go_map(map: &Map<String, Value>) -> String {
    let entries: Vec<String> = map
        .iter()
        .map(|(k, v)| format!("{k}:{}", go_text(v)))
        .collect();
    format!("map[{}]", entries.join(" "))
}

/// The identity of an item: the item itself, or its merge key's value.
pub(super) fn key_of(item: &Value, merge_key: Option<&str>) -> Result<String, PatchError> {
    let Some(merge_key) = merge_key else {
        return Ok(item.to_string());
    };
    match item.get(merge_key) {
        Some(key) => Ok(key.to_string()),
        None => Err(PatchError::Unmergeable(format!(
            "map: {} does not contain declared merge key: {merge_key}",
            go_text(item)
        ))),
    }
}

/// Keys of a list in order.
pub(super) fn keys_of(list: &[Value], merge_key: Option<&str>) -> Result<Vec<String>, PatchError> {
    list.iter().map(|item| key_of(item, merge_key)).collect()
}

pub(super) fn is_deletion(item: &Value) -> bool {
    item.get(DIRECTIVE).and_then(Value::as_str) == Some("delete")
}

/// Checks that the patch list's items come in the order that `$setElementOrder` gives them.
pub(super) fn check_order(
    patch: &[Value],
    order: &[Value],
    merge_key: Option<&str>,
) -> Result<(), PatchError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut wanted = keys_of(order, merge_key)?.into_iter();
    for item in patch.iter().filter(|item| item.get(DIRECTIVE).is_none()) {
        let key = key_of(item, merge_key)?;
        if !wanted.any(|w| w == key) {
            let (patch, order) = (go_list(patch), go_list(order));
            let text = format!(
                "The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n"
            );
            return Err(PatchError::Unmergeable(text));
        }
    }
    Ok(())
}

/// Orders a merged list: items named by the patch in the patch's order, items only the server has in
/// the server's order, and the two interleaved so that no server item moves behind a patch item that it
/// stood before.
pub(super) fn arrange(
    merged: Vec<Value>,
    patch_order: &[String],
    server_order: &[String],
    merge_key: Option<&str>,
) -> Result<Vec<Value>, PatchError> {
    let keys = keys_of(&merged, merge_key)?;
    let merged = keys.into_iter().zip(merged).collect();
    Ok(arrange_keyed(merged, patch_order, server_order))
}

/// The same for items with their keys.
pub(super) fn arrange_keyed(
    merged: Vec<(String, Value)>,
    patch_order: &[String],
    server_order: &[String],
) -> Vec<Value> {
    let in_patch = positions(patch_order);
    let in_server = positions(server_order);
    let (mut named, mut server_only) = (Vec::new(), Vec::new());
    for (key, item) in merged {
        let list = if in_patch.contains_key(key.as_str()) {
            &mut named
        } else {
            &mut server_only
        };
        list.push((key, item));
    }
    sort(&mut named, &in_patch);
    sort(&mut server_only, &in_server);
    interleave(server_only, named, &in_server)
}

pub(super) fn positions(order: &[String]) -> HashMap<&str, usize> {
    let mut map = HashMap::with_capacity(order.len());
    for (i, key) in order.iter().enumerate() {
        map.entry(key.as_str()).or_insert(i);
    }
    map
}

/// By position; deletions go last.
fn sort(items: &mut [(String, Value)], order: &HashMap<&str, usize>) {
    items.sort_by_key(|(key, item)| {
        (
            is_deletion(item),
            order.get(key.as_str()).copied().unwrap_or(usize::MAX),
        )
    });
}

fn interleave(
    left: Vec<(String, Value)>,
    right: Vec<(String, Value)>,
    server: &HashMap<&str, usize>,
) -> Vec<Value> {
    let mut out = Vec::with_capacity(left.len() + right.len());
    let mut left = left.into_iter().peekable();
    let mut right = right.into_iter().peekable();
    loop {
        let take_left = match (left.peek(), right.peek()) {
            (None, None) => return out,
            (None, Some(_)) => false,
            (Some(_), None) => true,
            (Some((l, _)), Some((r, _))) => {
                let (l, r) = (server.get(l.as_str()), server.get(r.as_str()));
                l.zip(r).is_some_and(|(l, r)| l < r)
            }
        };
        let next = if take_left { left.next() } else { right.next() };
        out.extend(next.map(|(_, item)| item));
    }
}

/// Keeps the first of equal items.
pub(super) fn deduplicate(list: Vec<Value>) -> Vec<Value> {
    let mut seen = HashSet::with_capacity(list.len());
    list.into_iter()
        .filter(|v| seen.insert(v.to_string()))
        .collect()
}

/// Removes the items that are in `gone`.
pub(super) fn without(list: Vec<Value>, gone: &[Value]) -> Vec<Value> {
    let gone: HashSet<String> = gone.iter().map(ToString::to_string).collect();
    list.into_iter()
        .filter(|v| !gone.contains(&v.to_string()))
        .collect()
}
