//! Objects inside objects: `x-kubernetes-embedded-resource`.
//! Upstream: `apiextensions-apiserver/pkg/apiserver/schema/objectmeta`.

use k3s_meta::field::{self, ErrorList, Path};
use serde_json::Value;

use crate::custom::schema::Schema;
use crate::object_meta::validate_embedded_meta;

/// Errors of the type and metadata of embedded objects.
pub(crate) fn embedded(schema: &Schema, value: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    visit(schema, value, path, true, &mut errors);
    errors
}

fn visit(schema: &Schema, value: &Value, path: &Path, is_root: bool, errors: &mut ErrorList) {
    match value {
        Value::Object(map) => {
            if schema.embedded && !is_root {
                for name in ["apiVersion", "kind"] {
                    let text = map.get(name).and_then(Value::as_str).unwrap_or_default();
                    if text.is_empty() {
                        errors.push(field::required(&path.child(name), "must not be empty"));
                    }
                }
                errors.append(validate_embedded_meta(value, path));
            }
            for (name, value) in map {
                if let Some(property) = schema.property(name) {
                    let below = if schema.properties.contains_key(name) {
                        path.child(name)
                    } else {
                        path.key(name)
                    };
                    visit(property, value, &below, false, errors);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                for (index, item) in list.iter().enumerate() {
                    visit(items, item, &path.index(index), false, errors);
                }
            }
        }
        _ => {}
    }
}
