//! The part of an object that a plugin asked for: what it does not see cannot make it work again.

use serde_json::{Map, Value};

/// Fields that always come.
const ALWAYS: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata.name",
    "metadata.namespace",
    "metadata.creationTimestamp",
];

/// The fields of `object` at these dotted paths, as JSON with sorted keys.
pub(crate) fn apply(object: &Value, fields: &[String]) -> Vec<u8> {
    let mut out = Map::new();
    for path in ALWAYS
        .iter()
        .copied()
        .chain(fields.iter().map(String::as_str))
    {
        let segments: Vec<&str> = path.split('.').collect();
        copy(object, &mut out, &segments);
    }
    // Encoding a tree of JSON cannot fail.
    serde_json::to_vec(&Value::Object(out)).unwrap_or_default()
}

fn copy(from: &Value, to: &mut Map<String, Value>, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    let Some(found) = from.get(*first) else {
        return;
    };
    if rest.is_empty() {
        to.insert((*first).to_owned(), found.clone());
    } else if found.is_object() {
        let inner = to
            .entry((*first).to_owned())
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(inner) = inner {
            copy(found, inner, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_asked_for_is_left() {
        let object = json!({"kind": "Ingress", "metadata": {"name": "a", "labels": {"x": "y"}, "resourceVersion": "7",
            "annotations": {"n": "v"}}, "spec": {"rules": [1], "tls": []}, "status": {"loadBalancer": {}}});
        let fields = ["metadata.annotations", "spec.rules", "spec.missing"].map(str::to_owned);
        let masked: Value = serde_json::from_slice(&apply(&object, &fields)).unwrap();
        assert_eq!(
            masked,
            json!({"kind": "Ingress", "metadata": {"name": "a", "annotations": {"n": "v"}}, "spec": {"rules": [1]}})
        );
    }
}
