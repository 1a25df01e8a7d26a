//! The fields of an object that a plugin asked for.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A set of dotted paths as a tree. A leaf takes everything below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mask {
    whole: bool,
    fields: BTreeMap<String, Mask>,
}

impl Mask {
    /// Paths, with name and namespace besides.
    pub(super) fn new(paths: &[String]) -> Self {
        let mut mask = Self::default();
        for path in paths
            .iter()
            .map(String::as_str)
            .chain(["metadata.name", "metadata.namespace"])
        {
            mask.add(path.split('.'));
        }
        mask
    }

    fn add<'a>(&mut self, mut path: impl Iterator<Item = &'a str>) {
        match path.next() {
            Some(field) => self.fields.entry(field.to_owned()).or_default().add(path),
            None => self.whole = true,
        }
    }

    /// What the mask shows of an object, as JSON.
    pub(super) fn apply(&self, object: &Value) -> Vec<u8> {
        self.pick(object)
            .unwrap_or_default()
            .to_string()
            .into_bytes()
    }

    fn pick(&self, value: &Value) -> Option<Value> {
        match value {
            _ if self.whole => Some(value.clone()),
            Value::Object(map) => {
                let picked = self.fields.iter().filter_map(|(name, below)| {
                    let value = map.get(name).and_then(|value| below.pick(value))?;
                    Some((name.clone(), value))
                });
                let picked: Map<String, Value> = picked.collect();
                (!picked.is_empty()).then(|| picked.into())
            }
            Value::Array(list) => Some(
                list.iter()
                    .filter_map(|element| self.pick(element))
                    .collect(),
            ),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn masked(paths: &[&str], object: &Value) -> Value {
        let paths: Vec<String> = paths.iter().map(|p| (*p).to_owned()).collect();
        serde_json::from_slice(&Mask::new(&paths).apply(object)).unwrap()
    }

    #[test]
    fn only_what_was_asked_for_is_seen() {
        let object = json!({"metadata": {"name": "n", "uid": "u", "labels": {"a": "b"}},
            "status": {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "now"}], "nodeInfo": {}}});
        let shown = masked(
            &["metadata.labels", "status.conditions.type", "status.absent"],
            &object,
        );
        assert_eq!(
            shown,
            json!({"metadata": {"name": "n", "labels": {"a": "b"}}, "status": {"conditions": [{"type": "Ready"}]}})
        );
        assert_eq!(
            masked(&["metadata.uid.below"], &object),
            json!({"metadata": {"name": "n"}})
        );
        assert_eq!(masked(&["status"], &object)["status"], object["status"]);
    }
}
