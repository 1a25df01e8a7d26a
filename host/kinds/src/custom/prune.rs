//! Removing fields that a schema does not name.
//! Upstream: `apiextensions-apiserver/pkg/apiserver/schema/pruning`.

use k3s_api::fields::Complaints;
use serde_json::Value;

use super::schema::{Additional, Schema};

/// Fields of every object, which are checked elsewhere.
const OF_OBJECTS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Removes what the schema does not name. Gives one `unknown field "spec.foo"` for each, as many as [`Complaints`]
/// holds.
pub(crate) fn prune(schema: &Schema, object: &mut Value) -> Vec<String> {
    let mut walk = Walk {
        path: String::new(),
        reported: Complaints::default(),
    };
    walk.node(object, Some(schema), true);
    walk.reported.into_texts()
}

struct Walk {
    path: String,
    reported: Complaints,
}

impl Walk {
    /// `schema` is missing below what may be anything: its scalars stay, fields do not.
    fn node(&mut self, value: &mut Value, schema: Option<&Schema>, is_object: bool) {
        let is_object = is_object || schema.is_some_and(|schema| schema.embedded);
        let keeps = schema.is_some_and(|schema| schema.preserve_unknown);
        match value {
            Value::Object(map) => {
                let mut gone = Vec::new();
                for (name, value) in map.iter_mut() {
                    if is_object && OF_OBJECTS.contains(&name.as_str()) {
                        continue;
                    }
                    match below(schema, name) {
                        Below::Known(schema) => {
                            self.step(name, |walk| walk.node(value, schema, false))
                        }
                        Below::Unknown if keeps => {}
                        Below::Unknown => gone.push(name.clone()),
                    }
                }
                for name in gone {
                    map.remove(&name);
                    self.report(&name);
                }
            }
            Value::Array(list) => {
                let items = match schema {
                    // Lists of what may be anything keep it, item by item.
                    Some(schema) if keeps && schema.items.is_none() => return,
                    Some(schema) => schema.items.as_deref(),
                    None => None,
                };
                for (index, item) in list.iter_mut().enumerate() {
                    self.step(&format!("[{index}]"), |walk| walk.node(item, items, false));
                }
            }
            _ => {}
        }
    }

    fn step(&mut self, step: &str, prune: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if length > 0 && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        prune(self);
        self.path.truncate(length);
    }

    fn report(&mut self, name: &str) {
        let Self { path, reported } = self;
        reported.note(|| {
            let dot = if path.is_empty() { "" } else { "." };
            format!("unknown field \"{path}{dot}{name}\"")
        });
    }
}

enum Below<'s> {
    /// A field with a schema, or without one where anything may stand.
    Known(Option<&'s Schema>),
    Unknown,
}

fn below<'s>(schema: Option<&'s Schema>, name: &str) -> Below<'s> {
    let Some(schema) = schema else {
        return Below::Unknown;
    };
    match (schema.properties.get(name), &schema.additional) {
        (Some(property), _) => Below::Known(Some(property)),
        (None, Some(Additional::Of(schema))) => Below::Known(Some(schema)),
        (None, Some(Additional::Any)) => Below::Known(None),
        (None, None) => Below::Unknown,
    }
}
