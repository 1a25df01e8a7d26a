//! What differs between two specs, in lines a person can read.

use serde_json::Value;

use crate::equality::same_member;

/// Most lines of one difference; the rest would not be read.
const MAX_LINES: usize = 40;

/// Lines `- path: value` for what was expected and `+ path: value` for what was found.
pub(crate) fn lines(expected: Option<&Value>, found: Option<&Value>) -> String {
    let mut lines = Vec::new();
    walk(&mut lines, ("", ""), expected, found);
    lines.truncate(MAX_LINES);
    lines.join("\n")
}

/// `path` leads to the member `name`.
fn walk(
    lines: &mut Vec<String>,
    (path, name): (&str, &str),
    old: Option<&Value>,
    new: Option<&Value>,
) {
    if same_member(name, old, new) {
        return;
    }
    match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let at = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                walk(lines, (&at, key), old.get(key), new.get(key));
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                walk(
                    lines,
                    (&format!("{path}[{index}]"), ""),
                    old.get(index),
                    new.get(index),
                );
            }
        }
        _ => {
            lines.extend(old.map(|old| format!("- {path}: {old}")));
            lines.extend(new.map(|new| format!("+ {path}: {new}")));
        }
    }
}
