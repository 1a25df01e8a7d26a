//! Every field that is validated inside a junctor is described outside of it.

use k3s_meta::field::{self, ErrorList, Path};
use serde_json::{Map, Value};

use super::{JUNCTORS, properties};

/// Checks the junctors of a node against the node.
pub(super) fn check(map: &Map<String, Value>, path: &Path, errors: &mut ErrorList) {
    junctors(map, path, Some(map), path, errors);
}

fn junctors(
    value: &Map<String, Value>,
    value_path: &Path,
    structure: Option<&Map<String, Value>>,
    path: &Path,
    errors: &mut ErrorList,
) {
    for junctor in JUNCTORS {
        let members = value
            .get(junctor)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate();
        for (index, member) in
            members.filter_map(|(index, member)| Some((index, member.as_object()?)))
        {
            node(
                member,
                &value_path.child(junctor).index(index),
                structure,
                path,
                errors,
            );
        }
    }
    if let Some(not) = value.get("not").and_then(Value::as_object) {
        node(not, &value_path.child("not"), structure, path, errors);
    }
}

fn node(
    value: &Map<String, Value>,
    value_path: &Path,
    structure: Option<&Map<String, Value>>,
    path: &Path,
    errors: &mut ErrorList,
) {
    let Some(map) = structure else {
        errors.push(field::required(
            path,
            format!("because it is defined in {value_path}"),
        ));
        return;
    };
    junctors(value, value_path, structure, path, errors);
    if let Some(items) = value.get("items").and_then(Value::as_object) {
        let below = map.get("items").and_then(Value::as_object);
        node(
            items,
            &value_path.child("items"),
            below,
            &path.child("items"),
            errors,
        );
    }
    for (name, property) in properties(value) {
        let Some(property) = property.as_object() else {
            continue;
        };
        let own = map
            .get("properties")
            .and_then(|own| own.get(name))
            .and_then(Value::as_object);
        let (value_at, at) = (
            value_path.child("properties").key(name),
            path.child("properties").key(name),
        );
        node(property, &value_at, own, &at, errors);
    }
}
