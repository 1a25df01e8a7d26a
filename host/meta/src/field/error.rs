//! One field error.

use super::Path;
use crate::quote::quote;
use serde_json::Value;
use std::fmt;

/// What is wrong with a field. `reason()` is the machine-readable form in `Status.details.causes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ErrorType {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    Internal,
    TypeInvalid,
}

impl ErrorType {
    /// `FieldValueRequired` and so on.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::Internal => "InternalError",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Internal => "Internal error",
        }
    }
}

/// The offending value as the message shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadValue {
    /// Not shown.
    Omitted,
    /// Shown quoted.
    Text(String),
    /// Shown as it is: numbers, booleans, quantities, JSON.
    Raw(String),
}

impl From<&str> for BadValue {
    fn from(v: &str) -> Self {
        Self::Text(v.to_owned())
    }
}

impl From<String> for BadValue {
    fn from(v: String) -> Self {
        Self::Text(v)
    }
}

impl From<&String> for BadValue {
    fn from(v: &String) -> Self {
        Self::Text(v.clone())
    }
}

impl From<&Value> for BadValue {
    fn from(v: &Value) -> Self {
        match v {
            Value::String(s) => Self::Text(s.clone()),
            other => Self::Raw(other.to_string()),
        }
    }
}

impl From<Option<&Value>> for BadValue {
    fn from(v: Option<&Value>) -> Self {
        Self::from(v.unwrap_or(&Value::Null))
    }
}

macro_rules! raw_from {
    ($($t:ty),+) => {
        $(impl From<$t> for BadValue {
            fn from(v: $t) -> Self {
                Self::Raw(v.to_string())
            }
        })+
    };
}
raw_from!(i32, i64, u64, usize, f64, bool);

impl BadValue {
    fn text_bytes(&self) -> usize {
        match self {
            Self::Omitted => 0,
            Self::Text(text) | Self::Raw(text) => text.len(),
        }
    }
}

/// An error of validation about one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// What is wrong.
    pub kind: ErrorType,
    /// Where: `spec.ports[0].name`.
    pub field: String,
    /// The offending value.
    pub value: BadValue,
    /// What would be right; may be empty.
    pub detail: String,
}

impl FieldError {
    /// An error of any type; the functions of this module's parent are usually what is wanted.
    pub fn new(kind: ErrorType, path: &Path, value: BadValue, detail: impl Into<String>) -> Self {
        Self {
            kind,
            field: path.to_string(),
            value,
            detail: detail.into(),
        }
    }

    /// Bytes of all its texts.
    pub(super) fn text_bytes(&self) -> usize {
        self.field
            .len()
            .saturating_add(self.value.text_bytes())
            .saturating_add(self.detail.len())
    }

    /// The message without the field.
    pub fn body(&self) -> String {
        let mut text = self.kind.text().to_owned();
        match &self.value {
            BadValue::Omitted => {}
            BadValue::Text(v) => {
                text.push_str(": ");
                text.push_str(&quote(v));
            }
            BadValue::Raw(v) => {
                text.push_str(": ");
                text.push_str(v);
            }
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}
