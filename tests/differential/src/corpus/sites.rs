//! The places of an object that its schema knows, present or not.

use k3s_api::schema::{Shape, Type, ValueType};
use serde_json::Value;

use super::edit::Place;

/// A place and what stands there.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// Where.
    pub(super) place: Place,
    /// What the schema says about it.
    pub(super) value_type: ValueType,
    /// What the sample has.
    pub(super) value: Option<Value>,
    /// The last key of the place, for choosing values that occur elsewhere under the same name.
    pub(super) field: String,
}

/// Every place of `object`: the fields of each struct that it holds, and each member of its lists and maps.
#[must_use]
pub(super) fn sites(schema: &'static Type, object: &Value) -> Vec<Site> {
    let mut found = Vec::new();
    fields(schema, object, &Place::default(), &mut found);
    found
}

fn fields(schema: &'static Type, object: &Value, place: &Place, found: &mut Vec<Site>) {
    for field in schema.fields() {
        let value = object.get(field.name());
        visit(
            field.value_type(),
            value,
            place.key(field.name()),
            field.name(),
            found,
        );
    }
}

fn visit(
    value_type: ValueType,
    value: Option<&Value>,
    place: Place,
    field: &str,
    found: &mut Vec<Site>,
) {
    found.push(Site {
        place: place.clone(),
        value_type,
        value: value.cloned(),
        field: field.to_owned(),
    });
    match (value_type, value) {
        (ValueType::Named(_), Some(value)) => {
            if let Some(schema) = value_type.named().filter(|t| t.shape == Shape::Struct) {
                fields(schema, value, &place, found);
            }
        }
        (ValueType::List(_), Some(Value::Array(list))) => {
            for (at, member) in list.iter().enumerate() {
                let element = value_type.element().unwrap_or(ValueType::String);
                visit(element, Some(member), place.index(at), field, found);
            }
        }
        (ValueType::Map(_), Some(Value::Object(map))) => {
            for (key, member) in map {
                let element = value_type.element().unwrap_or(ValueType::String);
                visit(element, Some(member), place.key(key), field, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn absent_fields_and_members_of_lists_are_places_too() {
        let pod = k3s_api::by_kind("", "v1", "Pod").unwrap();
        let object = json!({"spec": {"containers": [{"name": "a"}], "nodeSelector": {"k": "v"}}});
        let places: Vec<String> = sites(pod.object_type(), &object)
            .iter()
            .map(|site| site.place.to_string())
            .collect();
        for place in [
            "metadata",
            "spec.hostNetwork",
            "spec.containers[0]",
            "spec.containers[0].name",
            "spec.containers[0].image",
            "spec.nodeSelector.k",
        ] {
            assert!(places.iter().any(|p| p == place), "{place}");
        }
        assert!(!places.iter().any(|p| p.starts_with("status.")));
    }
}
