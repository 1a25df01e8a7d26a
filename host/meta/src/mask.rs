//! Masks: the fields of an object that a plugin reads, as `wit/common/feed.wit` defines them. What a
//! plugin does not see cannot change its decision, so a change outside the mask needs no call.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::tree;

/// Fields that every mask has.
const ALWAYS: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata.name",
    "metadata.namespace",
    "metadata.creationTimestamp",
];

/// A set of dotted paths (`spec.ports.port`). A path applies to each element of a list on its way, and
/// includes everything below its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask(Node);

/// A tree of field names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    /// A path ends here.
    whole: bool,
    fields: BTreeMap<String, Node>,
}

impl Mask {
    /// The mask of these paths.
    #[must_use]
    pub fn new(paths: &[String]) -> Self {
        let mut root = Node::default();
        let paths = paths.iter().map(String::as_str);
        for path in paths.chain(ALWAYS.iter().copied()) {
            root.add(path.split('.'));
        }
        Self(root)
    }

    /// The masked fields of `object`, as JSON with sorted keys.
    #[must_use]
    pub fn apply(&self, object: &Value) -> Vec<u8> {
        let masked = self.0.pick(object);
        let masked = masked.unwrap_or_else(|| Value::Object(Map::new()));
        masked.to_string().into_bytes()
    }
}

impl Node {
    fn add<'a>(&mut self, mut path: impl Iterator<Item = &'a str>) {
        match path.next() {
            Some(field) => self.fields.entry(field.to_owned()).or_default().add(path),
            None => self.whole = true,
        }
    }

    /// None when nothing of the value is in the mask.
    fn pick(&self, value: &Value) -> Option<Value> {
        match value {
            // Go writes null for some empty lists; a plugin's types need not know of it.
            Value::Null => None,
            _ if self.whole => Some(tree::without_nulls(value)),
            Value::Object(map) => self.pick_fields(map),
            Value::Array(list) => {
                let picked = list.iter().filter_map(|element| self.pick(element));
                Some(picked.collect())
            }
            _ => None,
        }
    }

    fn pick_fields(&self, map: &Map<String, Value>) -> Option<Value> {
        let pick = |(name, below): (&String, &Self)| {
            let picked = below.pick(map.get(name)?)?;
            Some((name.clone(), picked))
        };
        let picked: Map<String, Value> = self.fields.iter().filter_map(pick).collect();
        (!picked.is_empty()).then(|| picked.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn masked(paths: &[&str], object: &Value) -> Value {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        serde_json::from_slice(&Mask::new(&paths).apply(object)).unwrap()
    }

    #[test]
    fn only_fields_in_the_mask_are_passed() {
        let object = json!({"kind": "Ingress", "metadata": {"name": "a", "labels": {"x": "y"},
            "resourceVersion": "7", "annotations": {"n": "v"}},
            "spec": {"rules": [1], "tls": []}, "status": {"loadBalancer": {}}});
        assert_eq!(
            masked(
                &["metadata.annotations", "spec.rules", "spec.missing"],
                &object
            ),
            json!({"kind": "Ingress", "metadata": {"name": "a", "annotations": {"n": "v"}},
                "spec": {"rules": [1]}})
        );
    }

    #[test]
    fn paths_apply_to_the_elements_of_lists() {
        let object = json!({"metadata": {"name": "n", "uid": "u", "labels": {"a": "b"}},
            "status": {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "now"}],
                "nodeInfo": {}}});
        let shown = masked(
            &["metadata.labels", "status.conditions.type", "status.absent"],
            &object,
        );
        assert_eq!(
            shown,
            json!({"metadata": {"name": "n", "labels": {"a": "b"}}, "status": {"conditions": [{"type": "Ready"}]}})
        );
        let below_a_text = masked(&["metadata.uid.below"], &object);
        assert_eq!(below_a_text, json!({"metadata": {"name": "n"}}));
        assert_eq!(masked(&["status"], &object)["status"], object["status"]);
    }

    #[test]
    fn null_is_left_out_as_a_missing_field_is() {
        let object = json!({"metadata": {"name": "n"}, "ports": null, "endpoints": [{"hints": {"a": null}}]});
        let shown = masked(&["ports", "endpoints"], &object);
        assert_eq!(
            shown,
            json!({"metadata": {"name": "n"}, "endpoints": [{"hints": {}}]})
        );
    }

    #[test]
    fn an_object_without_masked_fields_is_still_an_object() {
        assert_eq!(masked(&["spec"], &json!({})), json!({}));
    }
}
