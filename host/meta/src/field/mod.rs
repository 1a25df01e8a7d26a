//! Field errors of validation, worded as upstream's `util/validation/field` words them.

mod error;
mod list;
mod path;

pub use error::{BadValue, ErrorType, FieldError};
pub use list::ErrorList;
pub use path::Path;

use std::fmt::Display;

/// A field that must be set is not.
pub fn required(path: &Path, detail: impl Into<String>) -> FieldError {
    FieldError::new(ErrorType::Required, path, BadValue::Omitted, detail)
}

/// A value is malformed or out of bounds.
pub fn invalid(path: &Path, value: impl Into<BadValue>, detail: impl Into<String>) -> FieldError {
    FieldError::new(ErrorType::Invalid, path, value.into(), detail)
}

/// A value is not one of the supported ones, which are named in the message in the given order.
pub fn not_supported<T: AsRef<str>>(
    path: &Path,
    value: impl Into<BadValue>,
    supported: &[T],
) -> FieldError {
    let quoted: Vec<String> = supported
        .iter()
        .map(|v| crate::quote::quote(v.as_ref()))
        .collect();
    let detail = if quoted.is_empty() {
        String::new()
    } else {
        format!("supported values: {}", quoted.join(", "))
    };
    FieldError::new(ErrorType::NotSupported, path, value.into(), detail)
}

/// A value that must be unique is there already.
pub fn duplicate(path: &Path, value: impl Into<BadValue>) -> FieldError {
    FieldError::new(ErrorType::Duplicate, path, value.into(), "")
}

/// The value names something that does not exist.
pub fn not_found(path: &Path, value: impl Into<BadValue>) -> FieldError {
    FieldError::new(ErrorType::NotFound, path, value.into(), "")
}

/// The value is well-formed but not permitted here.
pub fn forbidden(path: &Path, detail: impl Into<String>) -> FieldError {
    FieldError::new(ErrorType::Forbidden, path, BadValue::Omitted, detail)
}

/// The value has too many bytes. The value itself is not repeated.
pub fn too_long(path: &Path, max_bytes: usize) -> FieldError {
    FieldError::new(
        ErrorType::TooLong,
        path,
        BadValue::Omitted,
        format!("may not be more than {max_bytes} bytes"),
    )
}

/// The list has too many items.
pub fn too_many(path: &Path, actual: usize, max_items: usize) -> FieldError {
    let value = BadValue::Raw(actual.to_string());
    FieldError::new(
        ErrorType::TooMany,
        path,
        value,
        format!("must have at most {max_items} items"),
    )
}

/// Validation itself failed, not the user's input.
pub fn internal(path: &Path, error: impl Display) -> FieldError {
    FieldError::new(
        ErrorType::Internal,
        path,
        BadValue::Omitted,
        error.to_string(),
    )
}

/// The value may not change after creation.
pub fn immutable(path: &Path, value: impl Into<BadValue>) -> FieldError {
    invalid(path, value, "field is immutable")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_as_upstream() {
        let p = Path::new("spec").child("ports").index(0).child("name");
        let table = [
            (required(&p, ""), "spec.ports[0].name: Required value"),
            (
                required(&p, "must be set"),
                "spec.ports[0].name: Required value: must be set",
            ),
            (
                invalid(
                    &Path::new("spec").child("replicas"),
                    -1,
                    "must be greater than or equal to 0",
                ),
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                invalid(&p, "A b", "no"),
                "spec.ports[0].name: Invalid value: \"A b\": no",
            ),
            (
                invalid(&p, &json!(null), "no"),
                "spec.ports[0].name: Invalid value: null: no",
            ),
            (
                invalid(&p, &json!({"a": 1}), "no"),
                "spec.ports[0].name: Invalid value: {\"a\":1}: no",
            ),
            (
                not_supported(&p, "x", &["a", "b"]),
                "spec.ports[0].name: Unsupported value: \"x\": supported values: \"a\", \"b\"",
            ),
            (
                duplicate(&p, "x"),
                "spec.ports[0].name: Duplicate value: \"x\"",
            ),
            (forbidden(&p, "no"), "spec.ports[0].name: Forbidden: no"),
            (
                too_long(&p, 63),
                "spec.ports[0].name: Too long: may not be more than 63 bytes",
            ),
            (
                too_many(&p, 9, 8),
                "spec.ports[0].name: Too many: 9: must have at most 8 items",
            ),
            (not_found(&p, "x"), "spec.ports[0].name: Not found: \"x\""),
            (
                internal(&p, "boom"),
                "spec.ports[0].name: Internal error: boom",
            ),
            (
                immutable(&Path::new("data"), true),
                "data: Invalid value: true: field is immutable",
            ),
        ];
        for (error, want) in table {
            assert_eq!(error.to_string(), want);
        }
    }

    #[test]
    fn paths() {
        let p = Path::new("metadata").child("labels").key("a.b/c");
        assert_eq!(p.to_string(), "metadata.labels[a.b/c]");
        assert_eq!(Path::root().child("x").to_string(), "x");
        assert_eq!(Path::root().to_string(), "<nil>");
    }

    #[test]
    fn lists_print_as_aggregates() {
        let mut list = ErrorList::new();
        assert!(list.is_empty());
        list.push(required(&Path::new("a"), ""));
        assert_eq!(list.to_string(), "a: Required value");
        list.push(required(&Path::new("a"), ""));
        list.push(required(&Path::new("b"), ""));
        assert_eq!(list.to_string(), "[a: Required value, b: Required value]");
    }
}
