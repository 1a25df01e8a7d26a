//! Reading and changing the dynamic tree of an object by dotted paths.
//!
//! A path names schema fields (`spec.template.metadata`), which never contain a dot. Keys of labels,
//! annotations and data may contain one; look them up in the map that [`map`] or [`ensure`] returns,
//! or with [`crate::object::label`] and [`crate::object::annotation`].
//!
//! Two rules hold for every function here:
//! - `null` is missing, as it is when Go decodes it. Reading a field of another type reads as missing
//!   too, because validation has its own place.
//! - A write makes the parents that are missing. Where something other than a map stands in the way,
//!   nothing changes: strict decoding refuses such input, and a write never destroys what it does not
//!   understand.

use std::sync::LazyLock;

use serde_json::{Map, Value};

/// Deepest nesting of maps and lists in an object that is made or stored. What decodes it again (lists and
/// watch events wrap it) stops at 128, and what walks a tree does so by recursion.
pub const MAX_DEPTH: usize = 112;

/// An empty object, for reading a missing one.
static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// The value at `path`, `None` when missing or null.
#[must_use]
pub fn get<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(value, |value, key| value.get(key))
        .filter(|value| !value.is_null())
}

/// Levels of maps and lists: 0 for a scalar, 1 for an empty map.
#[must_use]
pub fn depth(value: &Value) -> usize {
    let below = match value {
        Value::Object(map) => map.values().map(depth).max(),
        Value::Array(list) => list.iter().map(depth).max(),
        _ => return 0,
    };
    below.unwrap_or(0) + 1
}

/// The text at `path`, empty when missing.
#[must_use]
pub fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    get(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// The integer at `path`.
#[must_use]
pub fn int(value: &Value, path: &str) -> Option<i64> {
    get(value, path).and_then(Value::as_i64)
}

/// The boolean at `path`, false when missing.
#[must_use]
pub fn flag(value: &Value, path: &str) -> bool {
    get(value, path).and_then(Value::as_bool).unwrap_or(false)
}

/// The list at `path`, empty when missing.
#[must_use]
pub fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    get(value, path)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The texts of the list at `path`; members of other types are left out.
#[must_use]
pub fn texts<'a>(value: &'a Value, path: &str) -> Vec<&'a str> {
    list(value, path).iter().filter_map(Value::as_str).collect()
}

/// The map at `path`, empty when missing.
#[must_use]
pub fn map<'a>(value: &'a Value, path: &str) -> &'a Map<String, Value> {
    get(value, path)
        .and_then(Value::as_object)
        .unwrap_or(&EMPTY)
}

/// Whether something other than an empty text, list or map stands at `path`.
#[must_use]
pub fn has(value: &Value, path: &str) -> bool {
    get(value, path).is_some_and(|value| !is_empty(value))
}

/// Whether Go calls this value empty: null, `""`, `[]` or `{}`.
#[must_use]
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether two values are the same where null, a missing field and an empty list are one: what the API stores of
/// them is up to the field's type, as Go writes it.
#[must_use]
pub fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            left.iter()
                .all(|(key, value)| same(value, right.get(key).unwrap_or(&Value::Null)))
                && right
                    .iter()
                    .all(|(key, value)| left.contains_key(key) || same(value, &Value::Null))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| same(left, right))
        }
        (Value::Array(only), Value::Null) | (Value::Null, Value::Array(only)) => only.is_empty(),
        (left, right) => left == right,
    }
}

/// The value without the fields that are null, at every depth.
#[must_use]
pub(crate) fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let present = map.iter().filter(|(_, value)| !value.is_null());
            let present = present.map(|(key, value)| (key.clone(), without_nulls(value)));
            Value::Object(present.collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(without_nulls).collect()),
        scalar => scalar.clone(),
    }
}

/// The value at `path` for changing, `None` when missing or null.
pub fn get_mut<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('.')
        .try_fold(value, |value, key| value.get_mut(key))
        .filter(|value| !value.is_null())
}

/// The members of the list at `path` for changing.
pub fn each_mut<'a>(
    value: &'a mut Value,
    path: &str,
) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    get_mut(value, path)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

/// The map at `path`, made with its parents when missing; `None` when something else stands there
/// or in the way.
pub fn ensure<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Map<String, Value>> {
    let mut current = as_map(value)?;
    for key in path.split('.') {
        current = as_map(current.entry(key).or_insert(Value::Null))?;
    }
    Some(current)
}

/// Sets the field `path`.
pub fn set(value: &mut Value, path: &str, to: impl Into<Value>) {
    if let Some((parent, key)) = parent_mut(value, path) {
        parent.insert(key.to_owned(), to.into());
    }
}

/// Sets the field `path` when it is missing or null (a nil pointer in Go).
pub fn set_missing(value: &mut Value, path: &str, to: impl Into<Value>) {
    if let Some((parent, key)) = parent_mut(value, path)
        && parent.get(key).is_none_or(Value::is_null)
    {
        parent.insert(key.to_owned(), to.into());
    }
}

/// Sets the field `path` when it holds Go's zero value: missing, null, `""`, or 0.
pub fn set_zero(value: &mut Value, path: &str, to: impl Into<Value>) {
    if let Some((parent, key)) = parent_mut(value, path)
        && parent
            .get(key)
            .is_none_or(|old| old.is_null() || old == "" || old.as_i64() == Some(0))
    {
        parent.insert(key.to_owned(), to.into());
    }
}

/// Removes the field `path` and returns what it held, `None` when that was nothing or null. Maps
/// that become empty stay.
pub fn remove(value: &mut Value, path: &str) -> Option<Value> {
    let (parent, key) = match path.rsplit_once('.') {
        Some((parent, key)) => (get_mut(value, parent)?, key),
        None => (value, path),
    };
    let removed = parent.as_object_mut()?.remove(key)?;
    Some(removed).filter(|removed| !removed.is_null())
}

/// Makes the field `path` of `new` what it is in `old`, missing included.
pub fn copy(new: &mut Value, old: &Value, path: &str) {
    match get(old, path) {
        Some(kept) => set(new, path, kept.clone()),
        None => drop(remove(new, path)),
    }
}

/// The value as a map, which `null` becomes.
fn as_map(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

fn parent_mut<'a, 'p>(
    value: &'a mut Value,
    path: &'p str,
) -> Option<(&'a mut Map<String, Value>, &'p str)> {
    match path.rsplit_once('.') {
        Some((parent, key)) => Some((ensure(value, parent)?, key)),
        None => Some((as_map(value)?, path)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_and_other_types_read_as_missing() {
        for value in [
            json!({}),
            json!({"a": null}),
            json!({"a": {"b": null}}),
            json!({"a": 3}),
            json!(null),
            json!("text"),
        ] {
            assert_eq!(get(&value, "a.b"), None, "{value}");
            assert_eq!(text(&value, "a.b"), "", "{value}");
            assert_eq!(int(&value, "a.b"), None, "{value}");
            assert!(!flag(&value, "a.b") && !has(&value, "a.b"), "{value}");
            assert!(list(&value, "a.b").is_empty(), "{value}");
            assert!(map(&value, "a.b").is_empty(), "{value}");
        }
    }

    #[test]
    fn null_is_replaced_when_a_field_is_set() {
        let mut value = json!({"spec": null, "status": {"replicas": 0}});
        set_missing(&mut value, "spec.replicas", 1);
        set_missing(&mut value, "status.replicas", 5);
        assert_eq!(
            value,
            json!({"spec": {"replicas": 1}, "status": {"replicas": 0}})
        );
        let mut nothing = Value::Null;
        set(&mut nothing, "a.b", 1);
        assert_eq!(nothing, json!({"a": {"b": 1}}));
    }

    #[test]
    fn a_write_makes_parents_and_destroys_nothing() {
        let mut value = json!({"a": 1, "list": []});
        set(&mut value, "c.d", 3);
        set(&mut value, "a.b", 2);
        set(&mut value, "list.x", 2);
        assert!(ensure(&mut value, "a.b").is_none());
        assert_eq!(value, json!({"a": 1, "list": [], "c": {"d": 3}}));
        ensure(&mut value, "m.n")
            .unwrap()
            .insert("k".into(), json!(1));
        assert_eq!(int(&value, "m.n.k"), Some(1));
        set(&mut value, "a", "replaced");
        assert_eq!(text(&value, "a"), "replaced");
    }

    #[test]
    fn remove_returns_what_was_there() {
        let mut value = json!({"a": {"b": 1, "n": null}, "c": 2});
        assert_eq!(remove(&mut value, "a.b"), Some(json!(1)));
        assert_eq!(remove(&mut value, "a.b"), None);
        assert_eq!(remove(&mut value, "a.n"), None);
        assert_eq!(remove(&mut value, "x.y"), None);
        assert_eq!(remove(&mut value, "c"), Some(json!(2)));
        assert_eq!(value, json!({"a": {}}));
    }

    #[test]
    fn null_a_missing_field_and_an_empty_list_are_the_same() {
        let plain = json!({"a": 1, "list": [{"b": {}}]});
        for like in [
            json!({"a": 1, "list": [{"b": {}}], "none": null}),
            json!({"a": 1, "list": [{"b": {"c": null}, "d": []}]}),
        ] {
            assert!(same(&plain, &like) && same(&like, &plain), "{like}");
        }
        for other in [
            json!({"a": 1}),
            json!({"a": null, "list": [{"b": {}}]}),
            json!({"a": 1, "list": [{}]}),
            json!({"a": 1, "list": [{"b": {}}, {}]}),
            json!({"a": 1, "list": [{"b": {"c": ""}}]}),
        ] {
            assert!(!same(&plain, &other) && !same(&other, &plain), "{other}");
        }
    }

    #[test]
    fn copy_removes_what_the_old_object_lacks() {
        let mut new = json!({"status": {"phase": "Failed"}, "spec": {"a": 1}});
        copy(&mut new, &json!({"spec": {"a": 2}}), "status");
        copy(&mut new, &json!({"spec": {"a": 2}}), "spec.a");
        assert_eq!(new, json!({"spec": {"a": 2}}));
    }
}
