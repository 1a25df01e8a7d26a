//! Walking OpenAPI v3 schemas: references, lists, maps and fields.

use k3s_meta::tree;
use serde_json::{Map, Value};

/// The schemas of one group and version.
pub(super) struct Schemas<'a>(&'a Value);

impl<'a> Schemas<'a> {
    pub(super) fn new(components: &'a Value) -> Self {
        Self(components)
    }

    /// The schema of a kind.
    pub(super) fn of_kind(&self, group: &str, version: &str, kind: &str) -> Option<&'a Value> {
        let is = |gvk: &Value| {
            tree::text(gvk, "group") == group
                && tree::text(gvk, "version") == version
                && tree::text(gvk, "kind") == kind
        };
        let of = |schema: &&Value| {
            tree::list(schema, "x-kubernetes-group-version-kind")
                .iter()
                .any(is)
        };
        self.0.as_object()?.values().find(of)
    }

    /// The name and schema that `schema` refers to.
    pub(super) fn reference(&self, schema: &'a Value) -> Option<(&'a str, &'a Value)> {
        let holder = tree::list(schema, "allOf").first().unwrap_or(schema);
        let name = holder.get("$ref")?.as_str()?.rsplit('/').next()?;
        Some((name, self.0.get(name)?))
    }

    /// What a list or map is made of, through references, down to fields or a plain type.
    pub(super) fn inner(&self, schema: &'a Value) -> &'a Value {
        match (
            self.reference(schema),
            schema.get("items"),
            schema.get("additionalProperties"),
        ) {
            (Some((_, target)), ..) => self.inner(target),
            (None, Some(items), _) => self.inner(items),
            (None, None, Some(values)) if values.is_object() => self.inner(values),
            _ => schema,
        }
    }

    /// Fields by name, sorted.
    pub(super) fn fields(&self, schema: &'a Value) -> Option<&'a Map<String, Value>> {
        self.inner(schema).get("properties")?.as_object()
    }

    pub(super) fn field(&self, schema: &'a Value, name: &str) -> Option<&'a Value> {
        self.fields(schema)?.get(name)
    }

    pub(super) fn is_required(&self, schema: &'a Value, name: &str) -> bool {
        tree::list(self.inner(schema), "required")
            .iter()
            .any(|r| r == name)
    }

    /// `[]Container`, `map[string]string`, `integer`.
    pub(super) fn type_name(&self, schema: &'a Value) -> String {
        if let Some((name, target)) = self.reference(schema) {
            // Named plain types, such as Time, are shown as what they are.
            return match target.get("type").and_then(Value::as_str) {
                Some(plain) if plain != "object" => plain.to_owned(),
                _ => name.rsplit('.').next().unwrap_or(name).to_owned(),
            };
        }
        if let Some(items) = schema.get("items") {
            return format!("[]{}", self.type_name(items));
        }
        if let Some(values) = schema.get("additionalProperties").filter(|v| v.is_object()) {
            return format!("map[string]{}", self.type_name(values));
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("object") | None => "Object".to_owned(),
            Some(plain) => plain.to_owned(),
        }
    }

    /// The field's own description, then those of what it refers to.
    pub(super) fn descriptions(&self, schema: &'a Value) -> Vec<&'a str> {
        let mut found: Vec<&str> = schema
            .get("description")
            .and_then(Value::as_str)
            .into_iter()
            .collect();
        if let Some((_, target)) = self.reference(schema) {
            found.extend(self.descriptions(target));
        } else if let Some(items) = schema
            .get("items")
            .or_else(|| schema.get("additionalProperties"))
        {
            found.extend(self.descriptions(items));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_fields_and_descriptions() {
        let components = json!({
            "x.Pod": {"description": "A pod.", "properties": {
                "list": {"type": "array", "items": {"allOf": [{"$ref": "#/components/schemas/x.Item"}]}, "description": "Items."},
                "map": {"type": "object", "additionalProperties": {"type": "string"}},
                "when": {"allOf": [{"$ref": "#/components/schemas/x.Time"}]},
            }, "required": ["map"], "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Pod"}]},
            "x.Item": {"type": "object", "description": "An item.", "properties": {"a": {"type": "integer"}}},
            "x.Time": {"type": "string", "description": "A time."},
        });
        let schemas = Schemas::new(&components);
        let pod = schemas.of_kind("", "v1", "Pod").unwrap();
        let field = |name| schemas.field(pod, name).unwrap();
        assert_eq!(schemas.type_name(field("list")), "[]Item");
        assert_eq!(schemas.type_name(field("map")), "map[string]string");
        assert_eq!(schemas.type_name(field("when")), "string");
        assert_eq!(schemas.descriptions(field("list")), ["Items.", "An item."]);
        assert!(schemas.field(field("list"), "a").is_some() && schemas.field(pod, "b").is_none());
        assert!(schemas.is_required(pod, "map") && !schemas.is_required(pod, "list"));
    }
}
