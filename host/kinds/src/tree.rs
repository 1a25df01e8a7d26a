//! Reading and changing the dynamic tree by dotted paths.
//!
//! Paths here name schema fields (`spec.template.metadata`), which never contain a dot; label and
//! annotation keys do, and are looked up in the map that [`map`] returns.
//! A JSON `null` counts as missing everywhere, as it does when Go decodes it.

use serde_json::{Map, Value};

use crate::rules::EMPTY;

/// The value at `path`, `None` when missing or null.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(value, |value, key| value.get(key))
        .filter(|value| !value.is_null())
}

/// The text at `path`, empty when missing.
pub(crate) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// The integer at `path`.
pub(crate) fn int(value: &Value, path: &str) -> Option<i64> {
    at(value, path).and_then(Value::as_i64)
}

/// The boolean at `path`, false when missing.
pub(crate) fn flag(value: &Value, path: &str) -> bool {
    at(value, path).and_then(Value::as_bool).unwrap_or(false)
}

/// The list at `path`, empty when missing.
pub(crate) fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The texts of the list at `path`.
pub(crate) fn texts<'a>(value: &'a Value, path: &str) -> Vec<&'a str> {
    list(value, path).iter().filter_map(Value::as_str).collect()
}

/// The object at `path`, empty when missing.
pub(crate) fn map<'a>(value: &'a Value, path: &str) -> &'a Map<String, Value> {
    at(value, path).and_then(Value::as_object).unwrap_or(&EMPTY)
}

/// Whether something that is not an empty text, list or map stands at `path`.
pub(crate) fn has(value: &Value, path: &str) -> bool {
    at(value, path).is_some_and(|value| !is_empty(value))
}

/// Whether Go would call this value empty: null, `""`, `[]` or `{}`.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The value at `path` for changing, `None` when missing or null.
pub(crate) fn at_mut<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('.')
        .try_fold(value, |value, key| value.get_mut(key))
        .filter(|value| !value.is_null())
}

/// The members of the list at `path` for changing.
pub(crate) fn each_mut<'a>(
    value: &'a mut Value,
    path: &str,
) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    at_mut(value, path)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

/// The object at `path`, made (with its parents) when missing. `None` when something that is no
/// object is in the way; decoding has refused such input already.
pub(crate) fn ensure<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Map<String, Value>> {
    let mut current = value;
    for key in path.split('.') {
        let slot = current.as_object_mut()?.entry(key).or_insert(Value::Null);
        if slot.is_null() {
            *slot = Value::Object(Map::new());
        }
        current = slot;
    }
    current.as_object_mut()
}

/// Sets the field `path`, making parents as needed.
pub(crate) fn set(value: &mut Value, path: &str, to: impl Into<Value>) {
    if let Some((parent, key)) = parent_mut(value, path) {
        parent.insert(key.to_owned(), to.into());
    }
}

/// Sets the field `path` when it is missing or null (a nil pointer).
pub(crate) fn set_missing(value: &mut Value, path: &str, to: impl Into<Value>) {
    if let Some((parent, key)) = parent_mut(value, path)
        && parent.get(key).is_none_or(Value::is_null)
    {
        parent.insert(key.to_owned(), to.into());
    }
}

/// Sets the field `path` when it holds Go's zero value: missing, null, `""`, or 0.
pub(crate) fn set_zero(value: &mut Value, path: &str, to: impl Into<Value>) {
    if let Some((parent, key)) = parent_mut(value, path)
        && parent
            .get(key)
            .is_none_or(|old| old.is_null() || old == "" || old.as_i64() == Some(0))
    {
        parent.insert(key.to_owned(), to.into());
    }
}

/// Removes the field `path`.
pub(crate) fn remove(value: &mut Value, path: &str) {
    match path.rsplit_once('.') {
        Some((parent, key)) => {
            at_mut(value, parent)
                .and_then(Value::as_object_mut)
                .and_then(|map| map.remove(key));
        }
        None => {
            value.as_object_mut().and_then(|map| map.remove(path));
        }
    }
}

/// Makes the field `path` of `new` what it is in `old`, missing included.
pub(crate) fn copy(new: &mut Value, old: &Value, path: &str) {
    match at(old, path) {
        Some(kept) => set(new, path, kept.clone()),
        None => remove(new, path),
    }
}

fn parent_mut<'a, 'p>(
    value: &'a mut Value,
    path: &'p str,
) -> Option<(&'a mut Map<String, Value>, &'p str)> {
    match path.rsplit_once('.') {
        Some((parent, key)) => Some((ensure(value, parent)?, key)),
        None => Some((value.as_object_mut()?, path)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_reads_as_missing_and_is_replaced() {
        let mut value = json!({"spec": null, "status": {"replicas": 0}});
        assert_eq!(at(&value, "spec"), None);
        set_missing(&mut value, "spec.replicas", 1);
        set_missing(&mut value, "status.replicas", 5);
        assert_eq!(
            value,
            json!({"spec": {"replicas": 1}, "status": {"replicas": 0}})
        );
    }

    #[test]
    fn copy_removes_what_the_old_object_lacks() {
        let mut new = json!({"status": {"phase": "Failed"}, "spec": {"a": 1}});
        copy(&mut new, &json!({}), "status");
        assert_eq!(new, json!({"spec": {"a": 1}}));
    }
}
