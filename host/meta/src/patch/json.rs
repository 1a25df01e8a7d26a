//! JSON Patch (RFC 6902). The `json-patch` crate performs single operations; this module adds
//! upstream's bounds and messages, and leaves the document untouched when any operation fails.

use super::json_apply::Spent;
use super::{MAX_JSON_PATCH_OPERATIONS, PatchError};
use crate::json_syntax::type_name;
use json_patch::PatchOperation;
use serde::Deserialize;
use serde_json::Value;

/// Applies a list of operations, all or none.
pub fn json_patch(doc: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let Value::Array(operations) = patch else {
        let message = format!(
            "json: cannot unmarshal {} into Go value of type jsonpatch.Patch",
            type_name(patch)
        );
        return Err(PatchError::Malformed(message));
    };
    if operations.len() > MAX_JSON_PATCH_OPERATIONS {
        let count = operations.len();
        return Err(PatchError::TooLarge(format!(
            "The allowed maximum operations in a JSON patch is {MAX_JSON_PATCH_OPERATIONS}, got {count}"
        )));
    }
    let mut work = doc.clone();
    let mut spent = Spent::default();
    for operation in operations {
        let operation = PatchOperation::deserialize(operation)
            .map_err(|e| PatchError::DoesNotApply(unreadable(operation, &e)))?;
        spent.apply(&mut work, &operation)?;
    }
    *doc = work;
    Ok(())
}

fn unreadable(operation: &Value, error: &serde_json::Error) -> String {
    match operation.get("op").and_then(Value::as_str) {
        Some("add" | "remove" | "replace" | "move" | "copy" | "test") => {
            format!("invalid JSON patch operation: {error}")
        }
        other => format!("Unexpected kind: {}", other.unwrap_or("unknown")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_operation_nests_deeper_than_the_bound() {
        let mut deep = json!({});
        for _ in 0..100 {
            deep = json!({"x": deep});
        }
        // Each copy below itself would double the depth.
        for op in ["copy", "move"] {
            let below = "/x".repeat(100);
            let patch = json!([
                {"op": "add", "path": "/z", "value": deep},
                {"op": "add", "path": "/y", "value": deep},
                {"op": op, "from": "/y", "path": format!("/z{below}")},
            ]);
            let mut doc = json!({"data": {}});
            let error = json_patch(&mut doc, &patch).unwrap_err();
            assert!(matches!(error, PatchError::TooLarge(_)), "{error}");
            assert_eq!(doc, json!({"data": {}}));
        }
        let patch = json!([{"op": "add", "path": "/z", "value": deep}]);
        json_patch(&mut json!({}), &patch).unwrap();
    }

    #[test]
    fn applies() {
        let table = [
            (
                json!({"a": 1}),
                json!([{"op": "add", "path": "/b", "value": 2}]),
                json!({"a": 1, "b": 2}),
            ),
            (
                json!({"a": [1, 3]}),
                json!([{"op": "add", "path": "/a/1", "value": 2}]),
                json!({"a": [1, 2, 3]}),
            ),
            (
                json!({"a": [1]}),
                json!([{"op": "add", "path": "/a/-", "value": 2}]),
                json!({"a": [1, 2]}),
            ),
            (
                json!({"a": 1, "b": 2}),
                json!([{"op": "remove", "path": "/b"}]),
                json!({"a": 1}),
            ),
            (
                json!({"a": 1}),
                json!([{"op": "replace", "path": "/a", "value": {"x": 1}}]),
                json!({"a": {"x": 1}}),
            ),
            (
                json!({"a": 1}),
                json!([{"op": "move", "from": "/a", "path": "/b"}]),
                json!({"b": 1}),
            ),
            (
                json!({"a": {"x": 1}}),
                json!([{"op": "copy", "from": "/a", "path": "/b"}]),
                json!({"a": {"x": 1}, "b": {"x": 1}}),
            ),
            (
                json!({"a/b~c": 1}),
                json!([{"op": "test", "path": "/a~1b~0c", "value": 1}]),
                json!({"a/b~c": 1}),
            ),
            (
                json!({"a": 1}),
                json!([{"op": "test", "path": "/b", "value": null}]),
                json!({"a": 1}),
            ),
            (
                json!({"a": 1}),
                json!([{"op": "replace", "path": "/b~1c", "value": 2}]),
                json!({"a": 1, "b/c": 2}),
            ),
            (json!({"a": 1}), json!([]), json!({"a": 1})),
        ];
        for (mut doc, patch, want) in table {
            json_patch(&mut doc, &patch).unwrap_or_else(|e| panic!("{patch}: {e}"));
            assert_eq!(doc, want, "{patch}");
        }
    }

    #[test]
    fn refuses_and_leaves_the_document() {
        let table = [
            (
                json!([{"op": "test", "path": "/a", "value": 2}]),
                "testing value /a failed: test failed",
            ),
            (
                json!([{"op": "test", "path": "/b", "value": 2}]),
                "testing value /b failed: test failed",
            ),
            (
                json!([{"op": "remove", "path": "/b"}]),
                "error in remove for path: '/b': Unable to remove nonexistent key: b: missing value",
            ),
            (
                json!([{"op": "remove", "path": "/b/c"}]),
                "remove operation does not apply: doc is missing path: \"/b/c\": missing value",
            ),
            (
                json!([{"op": "replace", "path": "/b/c", "value": 1}]),
                "replace operation does not apply: doc is missing path: /b/c: missing value",
            ),
            (
                json!([{"op": "add", "path": "/b/c", "value": 1}]),
                "add operation does not apply: doc is missing path: \"/b/c\": missing value",
            ),
            (
                json!([{"op": "add", "path": "/a", "value": 9}, {"op": "jump", "path": "/b"}]),
                "Unexpected kind: jump",
            ),
            (
                json!({"a": 1}),
                "json: cannot unmarshal object into Go value of type jsonpatch.Patch",
            ),
        ];
        for (patch, want) in table {
            let mut doc = json!({"a": 1});
            assert_eq!(json_patch(&mut doc, &patch).unwrap_err().to_string(), want);
            assert_eq!(doc, json!({"a": 1}));
        }
    }

    #[test]
    fn bounds() {
        let many: Vec<Value> = (0..10_001)
            .map(|_| json!({"op": "test", "path": "/a", "value": 1}))
            .collect();
        let error = json_patch(&mut json!({"a": 1}), &Value::Array(many)).unwrap_err();
        assert!(matches!(error, PatchError::TooLarge(_)));
        let mut doc = json!({"a": {"x": "y".repeat(1024)}});
        let doubling: Vec<Value> = (0..20)
            .map(|i| json!({"op": "copy", "from": "", "path": format!("/a/{i}")}))
            .collect();
        let error = json_patch(&mut doc, &Value::Array(doubling)).unwrap_err();
        assert!(
            error.to_string().starts_with("Unable to complete the copy"),
            "{error}"
        );
    }

    #[test]
    fn a_short_patch_does_not_walk_a_large_document_again_and_again() {
        let doc = || json!({"a": vec![0; 50_000], "b": {"x": vec![json!({}); 50_000]}});
        let moves = ["/b", "/c"].map(|to| {
            let from = if to == "/b" { "/c" } else { "/b" };
            json!({"op": "move", "from": from, "path": to})
        });
        let [back, forth] = &moves;
        let cases = [
            [forth.clone(), back.clone()],
            [
                json!({"op": "add", "path": "/a/0", "value": 1}),
                json!({"op": "remove", "path": "/a/0"}),
            ],
        ];
        for case in cases {
            let patch = |times: usize| -> Value {
                let operations = case.iter().cycle().take(2 * times);
                operations.cloned().collect()
            };
            let error = json_patch(&mut doc(), &patch(5_000)).unwrap_err();
            assert!(matches!(error, PatchError::TooLarge(_)), "{error}");
            let mut patched = doc();
            json_patch(&mut patched, &patch(20)).unwrap();
            assert_eq!(patched, doc());
        }
    }
}
