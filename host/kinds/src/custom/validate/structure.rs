//! Lists and maps.

use k3s_meta::field::{self, BadValue, ErrorList, ErrorType, Path};
use serde_json::{Map, Value};

use super::{Walk, same};
use crate::custom::schema::{ListKind, Schema};

impl Walk {
    pub(super) fn list(&mut self, schema: &Schema, list: &[Value], old: Option<&Value>) {
        let checks = &schema.checks;
        let count = list.len();
        if let Some(min) = checks.min_items.filter(|min| (count as u64) < *min) {
            self.invalid(count.into(), &format!("should have at least {min} items"));
        }
        if let Some(max) = checks.max_items.filter(|max| count as u64 > *max) {
            let max = usize::try_from(max).unwrap_or(usize::MAX);
            self.errors
                .push(field::too_many(&Path::new(&self.path), count, max));
        }
        if checks.unique_items && repeated(list) {
            self.invalid(
                (&Value::Array(list.to_vec())).into(),
                "shouldn't contain duplicates",
            );
        }
        let Some(items) = &schema.items else { return };
        let before = old.and_then(Value::as_array);
        for (index, item) in list.iter().enumerate() {
            let old = before.and_then(|before| counterpart(&schema.list, item, before));
            self.below(&format!("[{index}]"), |walk| walk.node(items, item, old));
        }
    }

    pub(super) fn map(&mut self, schema: &Schema, map: &Map<String, Value>, old: Option<&Value>) {
        let checks = &schema.checks;
        let count = map.len();
        if let Some(min) = checks.min_properties.filter(|min| (count as u64) < *min) {
            self.invalid(
                count.into(),
                &format!("should have at least {min} properties"),
            );
        }
        if let Some(max) = checks.max_properties.filter(|max| count as u64 > *max) {
            let max = usize::try_from(max).unwrap_or(usize::MAX);
            self.errors
                .push(field::too_many(&Path::new(&self.path), count, max));
        }
        for name in checks
            .required
            .iter()
            .filter(|name| !map.contains_key(*name))
        {
            self.below(name, |walk| {
                walk.fail(ErrorType::Required, BadValue::Omitted, String::new())
            });
        }
        for (name, value) in map {
            if let Some(property) = schema.property(name) {
                let old = old.and_then(|old| old.get(name));
                self.below(name, |walk| walk.node(property, value, old));
            }
        }
    }
}

fn repeated(list: &[Value]) -> bool {
    list.iter()
        .enumerate()
        .any(|(at, item)| list.iter().take(at).any(|other| same(other, item)))
}

/// The same item in the old list; only lists that are maps can identify it.
fn counterpart<'v>(kind: &ListKind, item: &Value, before: &'v [Value]) -> Option<&'v Value> {
    let ListKind::Map(keys) = kind else {
        return None;
    };
    before
        .iter()
        .find(|other| keys.iter().all(|key| other.get(key) == item.get(key)))
}

/// Errors of lists that may not repeat an item: `x-kubernetes-list-type` `set` and `map`.
pub(crate) fn distinct(schema: &Schema, value: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    visit(schema, value, path, &mut errors);
    errors
}

fn visit(schema: &Schema, value: &Value, path: &Path, errors: &mut ErrorList) {
    match value {
        Value::Array(list) => {
            repeats(&schema.list, list, path, errors);
            if let Some(items) = &schema.items {
                for (index, item) in list.iter().enumerate() {
                    visit(items, item, &path.index(index), errors);
                }
            }
        }
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(property) = schema.property(name) {
                    let below = if schema.properties.contains_key(name) {
                        path.child(name)
                    } else {
                        path.key(name)
                    };
                    visit(property, value, &below, errors);
                }
            }
        }
        _ => {}
    }
}

/// Says of each item once that it was there before, in one pass over the list.
fn repeats(kind: &ListKind, list: &[Value], path: &Path, errors: &mut ErrorList) {
    let identity = |item: &Value| match kind {
        ListKind::Atomic => None,
        ListKind::Set => Some(item.clone()),
        ListKind::Map(keys) => {
            let pairs = keys
                .iter()
                .filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
            item.is_object().then(|| Value::Object(pairs.collect()))
        }
    };
    if *kind == ListKind::Atomic {
        return;
    }
    let mut seen = std::collections::HashSet::with_capacity(list.len());
    for (index, item) in list.iter().enumerate() {
        if let Some(identity) = identity(item)
            && !seen.insert(identity.to_string())
        {
            errors.push(field::duplicate(&path.index(index), &identity));
        }
    }
}
