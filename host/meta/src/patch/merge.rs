//! JSON merge patch (RFC 7386): applying one, and making one from two documents.

use super::PatchError;
use crate::json_syntax::type_name;
use serde_json::{Map, Value};

/// Merges `patch` into `doc`: null deletes, maps merge, everything else replaces.
pub fn merge_patch(doc: &mut Value, patch: &Value) -> Result<(), PatchError> {
    if !patch.is_object() {
        let message = format!(
            "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            type_name(patch)
        );
        return Err(PatchError::Malformed(message));
    }
    json_patch::merge(doc, patch);
    Ok(())
}

/// The patch that turns `from` into `to`. Equal documents give `{}`.
pub(super) fn create_merge_patch(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else {
        return to.clone();
    };
    let mut patch = Map::new();
    for (key, new) in to {
        match from.get(key) {
            Some(old) if old == new => {}
            Some(old @ Value::Object(_)) if new.is_object() => {
                patch.insert(key.clone(), create_merge_patch(old, new));
            }
            _ => {
                patch.insert(key.clone(), new.clone());
            }
        }
    }
    for key in from.keys().filter(|k| !to.contains_key(*k)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rfc_7386_appendix() {
        let table = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": "b"}),
                json!({"b": "c"}),
                json!({"a": "b", "b": "c"}),
            ),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (
                json!({"a": "b", "b": "c"}),
                json!({"a": null}),
                json!({"b": "c"}),
            ),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (
                json!({"a": [{"b": "c"}]}),
                json!({"a": [1]}),
                json!({"a": [1]}),
            ),
            (
                json!({"e": null}),
                json!({"a": 1}),
                json!({"e": null, "a": 1}),
            ),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ];
        for (mut doc, patch, want) in table {
            merge_patch(&mut doc, &patch).unwrap();
            assert_eq!(doc, want, "{patch}");
        }
        assert!(merge_patch(&mut json!({}), &json!([1])).is_err());
    }

    #[test]
    fn creates_what_applies() {
        let pairs = [
            (
                json!({"a": 1, "b": {"c": 2, "d": 3}}),
                json!({"a": 2, "b": {"c": 2}}),
            ),
            (json!({"a": [1, 2]}), json!({"a": [2], "x": {"y": 1}})),
            (json!({"a": 1}), json!({"a": 1})),
        ];
        for (from, to) in pairs {
            let patch = create_merge_patch(&from, &to);
            let mut doc = from.clone();
            merge_patch(&mut doc, &patch).unwrap();
            assert_eq!(doc, to, "{patch}");
        }
    }
}
