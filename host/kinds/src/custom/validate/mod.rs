//! Checking a value against a schema, in upstream's words.
//!
//! The checks and their order are kube-openapi's `pkg/validation/validate`, the translation into field
//! errors is `apiextensions-apiserver/pkg/apiserver/validation`. On an update, what did not change is not
//! checked again (KEP-4008, ratcheting), so that an object outlives a stricter definition.

mod meta;
mod scalar;
mod several;
mod structure;
#[cfg(test)]
mod tests;

use k3s_meta::field::{BadValue, ErrorList, ErrorType, FieldError, Path};
use serde_json::Value;

use super::schema::{JsonType, Schema};

pub(crate) use meta::embedded;
pub(crate) use structure::distinct;

/// Errors of `value`, and of what in it differs from `old`.
pub(crate) fn validate(schema: &Schema, value: &Value, old: Option<&Value>) -> ErrorList {
    let mut walk = Walk::default();
    walk.node(schema, value, old);
    walk.errors
}

/// Where the check stands and what it found.
#[derive(Default)]
struct Walk {
    path: String,
    errors: ErrorList,
}

impl Walk {
    fn node(&mut self, schema: &Schema, value: &Value, old: Option<&Value>) {
        if self.errors.is_full() || old == Some(value) {
            return;
        }
        self.check_type(schema, value);
        if value.is_null() {
            self.check_values(schema, value);
            return;
        }
        self.several(schema, value, old);
        match value {
            Value::String(text) => self.text(&schema.checks, text),
            Value::Number(number) => self.number(&schema.checks, number),
            Value::Array(list) => self.list(schema, list, old),
            _ => {}
        }
        self.check_values(schema, value);
        if let Value::Object(map) = value {
            self.map(schema, map, old);
        }
    }

    /// The same one step down.
    fn below(&mut self, step: &str, check: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if length > 0 && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        check(self);
        self.path.truncate(length);
    }

    fn check_type(&mut self, schema: &Schema, value: &Value) {
        let wanted = match (schema.json_type, schema.int_or_string) {
            (_, true) => "integer,string",
            (Some(json_type), _) => json_type.name(),
            (None, _) => return,
        };
        let found = type_name(value);
        if value.is_null() && schema.nullable || fits(schema, value) {
            return;
        }
        let format = schema.checks.format.as_ref().map(|(name, _)| name.as_str());
        let scalar = !matches!(value, Value::Null | Value::String(_) | Value::Array(_));
        let (wanted, found) = match format {
            // What upstream compares then is the format, which such values do not have.
            Some(format) if scalar => (format, if found == "number" { "double" } else { "" }),
            _ => (wanted, found),
        };
        let message = format!("{} in body must be of type {wanted}: {found:?}", self.path);
        self.fail(ErrorType::TypeInvalid, found.into(), message);
    }

    fn check_values(&mut self, schema: &Schema, value: &Value) {
        let values = &schema.checks.values;
        if values.is_empty() || values.iter().any(|allowed| same(allowed, value)) {
            return;
        }
        let text = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        let quoted: Vec<String> = values
            .iter()
            .map(|v| k3s_meta::quote::quote(&text(v)))
            .collect();
        self.fail(
            ErrorType::NotSupported,
            value.into(),
            format!("supported values: {}", quoted.join(", ")),
        );
    }

    /// An error at the present place.
    fn fail(&mut self, kind: ErrorType, value: BadValue, detail: String) {
        let path = Path::new(&self.path);
        self.errors
            .push(FieldError::new(kind, &path, value, detail));
    }

    /// The usual form of an error: what stands there, and what should.
    fn invalid(&mut self, value: BadValue, should: &str) {
        let message = format!("{} in body {should}", self.path);
        self.fail(ErrorType::Invalid, value, message);
    }
}

/// Whether the type is one that the schema asks for.
fn fits(schema: &Schema, value: &Value) -> bool {
    if schema.int_or_string {
        return is_integer(value) || value.is_string();
    }
    match schema.json_type {
        None => true,
        Some(JsonType::Array) => value.is_array(),
        Some(JsonType::Boolean) => value.is_boolean(),
        Some(JsonType::Integer) => is_integer(value),
        Some(JsonType::Number) => value.is_number(),
        Some(JsonType::Object) => value.is_object(),
        Some(JsonType::String) => value.is_string(),
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// What a value's type is called.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Equality of JSON: numbers are equal when they are the same number.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || left.as_f64() == right.as_f64()
        }
        (left, right) => left == right,
    }
}
