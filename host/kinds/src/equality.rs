//! Equality as upstream's `apiequality.Semantic.DeepEqual` has it: what is missing, null or empty
//! is the same thing, since a Go client may send any of the three.

use serde_json::Value;

use k3s_meta::tree::is_empty;

/// Whether two optional subtrees mean the same.
#[must_use]
pub(crate) fn semantic_eq(left: Option<&Value>, right: Option<&Value>) -> bool {
    match (left, right) {
        (None, None) => true,
        (Some(only), None) | (None, Some(only)) => is_absent(only),
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            left.iter()
                .all(|(key, value)| semantic_eq(Some(value), right.get(key)))
                && right
                    .iter()
                    .all(|(key, value)| left.contains_key(key) || is_absent(value))
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| semantic_eq(Some(left), Some(right)))
        }
        (Some(left), Some(right)) => left == right || (is_absent(left) && is_absent(right)),
    }
}

/// Empty containers count as absent; an object of nothing but absent members does as well.
fn is_absent(value: &Value) -> bool {
    is_empty(value)
        || value
            .as_object()
            .is_some_and(|map| map.values().all(is_absent))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn empty_and_missing_are_the_same() {
        let with = json!({"replicas": 1, "args": [], "labels": {}, "note": null});
        let without = json!({"replicas": 1});
        assert!(semantic_eq(Some(&with), Some(&without)));
        assert!(!semantic_eq(
            Some(&json!({"replicas": 0})),
            Some(&json!({}))
        ));
    }
}
