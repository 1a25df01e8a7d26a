//! Lists and maps with a limit, which are not looked into once they are above it.

use std::collections::HashSet;

use k3s_meta::field::{self, BadValue, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

/// Validates each member of the list `name` of `holder`, unless they are more than `max`. True where they are
/// not.
pub(super) fn each(
    errors: &mut ErrorList,
    (holder, name): (&Value, &str),
    max: usize,
    path: &Path,
    mut member: impl FnMut(&mut ErrorList, &Value, &Path),
) -> bool {
    let list = tree::list(holder, name);
    let path = path.child(name);
    if list.len() > max {
        errors.push(field::too_many(&path, list.len(), max));
        return false;
    }
    for (index, item) in list.iter().enumerate() {
        if errors.is_full() {
            break;
        }
        member(errors, item, &path.index(index));
    }
    true
}

/// Reports members of the list `name` that have the key of an earlier one.
pub(super) fn unique(
    errors: &mut ErrorList,
    (holder, name): (&Value, &str),
    path: &Path,
    key: impl Fn(&Value) -> BadValue,
) {
    let mut seen = HashSet::new();
    for (index, item) in tree::list(holder, name).iter().enumerate() {
        let key = key(item);
        let text = match &key {
            BadValue::Text(text) | BadValue::Raw(text) => text.clone(),
            BadValue::Omitted => String::new(),
        };
        if !seen.insert(text) {
            errors.push(field::duplicate(&path.child(name).index(index), key));
        }
    }
}

/// The text of a member, or of its field `name`.
pub(super) fn text_of(name: &'static str) -> impl Fn(&Value) -> BadValue {
    move |item| match name {
        "" => item.as_str().unwrap_or_default().into(),
        name => tree::text(item, name).into(),
    }
}

/// A key of a map as it stands in a path: a long one is cut in its middle.
pub(super) fn shown_key(key: &str, max_bytes: usize) -> String {
    const ELLIPSIS: &str = "...";
    let max = max_bytes.max(16);
    if key.len() <= max {
        return key.to_owned();
    }
    let rest = max.saturating_sub(ELLIPSIS.len());
    let head = key.floor_char_boundary(rest.div_ceil(2));
    let tail = key.ceil_char_boundary(key.len().saturating_sub(rest / 2));
    let (head, tail) = (key.get(..head), key.get(tail..));
    let (head, tail) = (head.unwrap_or_default(), tail.unwrap_or_default());
    format!("{head}{ELLIPSIS}{tail}")
}
