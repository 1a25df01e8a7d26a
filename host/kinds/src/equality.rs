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

/// Members of pods, volumes and claims that Go keeps without a pointer, and maps: empty, they are as good as
/// missing.
const PLAIN: [&str; 15] = [
    "annotations",
    "capacity",
    "labels",
    "limits",
    "matchLabels",
    "metadata",
    "nodeSelector",
    "options",
    "overhead",
    "podAffinityTerm",
    "preference",
    "requests",
    "resources",
    "spec",
    "volumeAttributes",
];

/// Whether two parts of pods, volumes or claims mean the same. An empty object is not a missing one where Go
/// has a pointer: `emptyDir: {}` chooses something.
#[must_use]
pub(crate) fn same(left: Option<&Value>, right: Option<&Value>) -> bool {
    same_member("", left, right)
}

/// [`same`] for the member `name` of an object.
#[must_use]
pub(crate) fn same_member(name: &str, left: Option<&Value>, right: Option<&Value>) -> bool {
    match (left, right) {
        (None, None) => true,
        (Some(only), None) | (None, Some(only)) => is_nothing(name, only),
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let added = right.keys().filter(|key| !left.contains_key(*key));
            let mut names = left.keys().chain(added);
            names.all(|name| same_member(name, left.get(name), right.get(name)))
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            let mut pairs = left.iter().zip(right);
            left.len() == right.len() && pairs.all(|(left, right)| same(Some(left), Some(right)))
        }
        (Some(left), Some(right)) => {
            left == right || (is_nothing(name, left) && is_nothing(name, right))
        }
    }
}

fn is_nothing(name: &str, value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            let mut members = members.iter();
            PLAIN.contains(&name) && members.all(|(name, value)| is_nothing(name, value))
        }
        value => is_empty(value),
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

    #[test]
    fn an_empty_object_is_not_missing_where_go_has_a_pointer() {
        let empty = |name: &str| Some(json!({ name: {} }));
        for (name, is_same) in [
            ("emptyDir", false),
            ("limits", true),
            ("securityContext", false),
        ] {
            let (left, right) = (empty(name), json!({}));
            assert_eq!(same(left.as_ref(), Some(&right)), is_same, "{name}");
        }
        let nested = json!({"spec": {"resources": {"requests": {}}}});
        assert!(same(Some(&nested), Some(&json!({}))));
        let (left, right) = (json!([{"env": []}]), json!([{"env": null}]));
        assert!(same(Some(&left), Some(&right)));
    }
}
