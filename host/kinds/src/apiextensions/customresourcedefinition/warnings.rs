//! Formats in schemas that mean nothing here, so that they are not checked.

use std::collections::HashSet;

use k3s_meta::tree;
use serde_json::Value;

use crate::custom::format::Format;

pub(super) fn of_new(definition: &Value) -> Vec<String> {
    let unknown = unknown_formats(definition);
    unknown.into_iter().map(text).collect()
}

/// Only of what an update adds.
pub(super) fn of_update(new: &Value, old: &Value) -> Vec<String> {
    let known: HashSet<&str> = unknown_formats(old).into_iter().collect();
    let mut unknown = unknown_formats(new);
    unknown.retain(|format| !known.contains(format));
    unknown.into_iter().map(text).collect()
}

fn text(format: &str) -> String {
    format!("unrecognized format {}", k3s_meta::quote::quote(format))
}

/// Each format once, in the order in which they are met.
fn unknown_formats(definition: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    for version in tree::list(definition, "spec.versions") {
        if let Some(schema) = tree::get(version, "schema.openAPIV3Schema") {
            collect(schema, &mut found);
        }
    }
    let mut seen = HashSet::new();
    found.retain(|format| seen.insert(*format));
    found
}

fn collect<'v>(schema: &'v Value, found: &mut Vec<&'v str>) {
    let format = tree::text(schema, "format");
    let is_known = match tree::text(schema, "type") {
        "" | "string" => Format::parse(format).is_some(),
        "integer" => matches!(format, "int32" | "int64"),
        "number" => matches!(format, "float" | "double"),
        _ => false,
    };
    if !format.is_empty() && !is_known {
        found.push(format);
    }
    for key in ["items", "not", "additionalProperties"] {
        if let Some(inner) = schema.get(key) {
            collect(inner, found);
        }
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        for inner in tree::list(schema, key) {
            collect(inner, found);
        }
    }
    for inner in tree::map(schema, "properties").values() {
        collect(inner, found);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn formats_that_mean_nothing_are_warned_of_when_they_are_new() {
        let of = |properties: Value| {
            let schema = json!({"type": "object", "properties": properties});
            json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": schema}}]}})
        };
        let new = of(json!({
            "a": {"type": "string", "format": "date-time"},
            "b": {"type": "string", "format": "odd"},
            "c": {"type": "array", "items": {"type": "integer", "format": "int16"}},
            "d": {"type": "string", "format": "odd"},
        }));
        let texts = [
            "unrecognized format \"odd\"",
            "unrecognized format \"int16\"",
        ];
        assert_eq!(of_new(&new), texts);
        let old = of(json!({"b": {"type": "string", "format": "odd"}}));
        assert_eq!(of_update(&new, &old), [texts[1]]);
    }
}
