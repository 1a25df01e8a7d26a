//! The three types of patches: a document in the first line, a patch in the rest.

use k3s_api::fields;
use k3s_meta::{patch, tree};
use serde_json::Value;

use super::bodies::kind_and_rest;

/// What copies may add, as upstream bounds it.
const MAX_COPIED_BYTES: usize = 3 * 1024 * 1024;

/// A document that could be stored, and a patch.
fn document_and_patch(data: &[u8]) -> Option<(Value, Value)> {
    let at = data.iter().position(|byte| *byte == b'\n')?;
    let (document, patch) = data.split_at(at);
    let parse = |bytes| fields::parse(bytes).ok().map(|parsed| parsed.value);
    let document = parse(document)?;
    (tree::depth(&document) <= tree::MAX_DEPTH).then_some((document, parse(patch)?))
}

fn length(value: &Value) -> usize {
    value.to_string().len()
}

/// JSON Patch.
pub fn json_patch(data: &[u8]) {
    let Some((before, change)) = document_and_patch(data) else {
        return;
    };
    let mut after = before.clone();
    match patch::json_patch(&mut after, &change) {
        Ok(()) => {
            assert!(tree::depth(&after) <= tree::MAX_DEPTH);
            // A key that is added may need quotes that its path does not have.
            let bound = length(&before) + 6 * length(&change) + MAX_COPIED_BYTES;
            assert!(length(&after) <= bound);
        }
        Err(_) => assert_eq!(after, before, "a refused patch changes nothing"),
    }
}

/// JSON merge patch.
pub fn merge_patch(data: &[u8]) {
    let Some((before, change)) = document_and_patch(data) else {
        return;
    };
    let mut after = before.clone();
    if patch::merge_patch(&mut after, &change).is_err() {
        assert_eq!(after, before, "a refused patch changes nothing");
        return;
    }
    assert!(tree::depth(&after) <= tree::depth(&before).max(tree::depth(&change)));
    assert!(length(&after) <= length(&before) + length(&change));
    let mut again = after.clone();
    patch::merge_patch(&mut again, &change).unwrap();
    assert_eq!(
        again, after,
        "a patch that was applied changes nothing more"
    );
}

/// Strategic merge patch, of the kind that a line before the document names.
pub fn strategic_patch(data: &[u8]) {
    let Some((kind, data)) = kind_and_rest(data) else {
        return;
    };
    let Some((before, change)) = document_and_patch(data) else {
        return;
    };
    let mut after = before.clone();
    if patch::strategic_merge(&mut after, &change, kind.object_type()).is_err() {
        assert_eq!(after, before, "a refused patch changes nothing");
        return;
    }
    assert!(tree::depth(&after) <= tree::depth(&before).max(tree::depth(&change)));
    assert!(length(&after) <= length(&before) + length(&change));
    if !has_directive(&before) {
        assert!(!has_directive(&after), "directives are not stored: {after}");
    }
    // What is made is decoded, whatever it is.
    drop(fields::decode_patched(kind, &mut after));
}

fn has_directive(value: &Value) -> bool {
    let is_directive = |key: &String| {
        key == "$patch"
            || key == "$retainKeys"
            || key.starts_with("$setElementOrder")
            || key.starts_with("$deleteFromPrimitiveList")
    };
    match value {
        Value::Object(map) => map.keys().any(is_directive) || map.values().any(has_directive),
        Value::Array(list) => list.iter().any(has_directive),
        _ => false,
    }
}
