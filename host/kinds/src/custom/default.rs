//! Filling in defaults of a schema.
//! Upstream: `apiextensions-apiserver/pkg/apiserver/schema/defaulting`.

use serde_json::Value;

use super::schema::Schema;

/// Puts in defaults, and takes away nulls that the schema does not allow and has no default for.
/// Doing it again changes nothing.
pub(crate) fn fill(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, property) in schema
                .properties
                .iter()
                .filter(|(_, property)| property.default.is_some())
            {
                if map
                    .get(name)
                    .is_none_or(|value| forbidden_null(value, property))
                    && let Some(default) = &property.default
                {
                    map.insert(name.clone(), default.clone());
                }
            }
            map.retain(|name, value| {
                !schema
                    .property(name)
                    .is_some_and(|s| forbidden_null(value, s) && s.default.is_none())
            });
            for (name, value) in map.iter_mut() {
                if let Some(property) = schema.property(name) {
                    replace_null(value, property);
                    fill(property, value);
                }
            }
        }
        Value::Array(list) => {
            for item in list {
                if let Some(items) = &schema.items {
                    replace_null(item, items);
                    fill(items, item);
                }
            }
        }
        _ => {}
    }
}

fn forbidden_null(value: &Value, schema: &Schema) -> bool {
    value.is_null() && !schema.nullable
}

fn replace_null(value: &mut Value, schema: &Schema) {
    if forbidden_null(value, schema)
        && let Some(default) = &schema.default
    {
        *value = default.clone();
    }
}
