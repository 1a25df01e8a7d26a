//! `metav1.Status`: how the API says no. Wording follows upstream's `pkg/api/errors`.

mod make;
mod reason;

pub use reason::Reason;

use crate::field::{ErrorType, FieldError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// The answer to a request that failed, or the plain success of one that has nothing else to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Always `Status`.
    #[serde(default = "kind")]
    pub kind: String,
    /// Always `v1`.
    #[serde(rename = "apiVersion", default = "api_version")]
    pub api_version: String,
    /// List metadata; empty but present.
    #[serde(default)]
    pub metadata: ListMeta,
    /// `Success` or `Failure`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// For programs.
    #[serde(default, skip_serializing_if = "Reason::is_unknown")]
    pub reason: Reason,
    /// What the answer is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// The HTTP code.
    #[serde(default, skip_serializing_if = "is_zero_code")]
    pub code: u16,
}

/// Metadata of lists and of `Status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListMeta {
    /// Revision the answer is from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Token of the next page.
    #[serde(rename = "continue", default, skip_serializing_if = "String::is_empty")]
    pub continue_token: String,
}

/// What a status is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// Name of the object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// API group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Kind, or the resource where upstream puts that.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// UID of the object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The single things that are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// When to try again.
    #[serde(default, skip_serializing_if = "is_zero_i32")]
    pub retry_after_seconds: i32,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Machine-readable.
    #[serde(default, skip_serializing_if = "CauseType::is_empty")]
    pub reason: CauseType,
    /// For people; without the field.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Path of the field.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// A machine-readable cause, such as `FieldValueInvalid`. Open set: webhooks and servers add their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CauseType(pub std::borrow::Cow<'static, str>);

impl CauseType {
    /// The answer was not in a recognisable form.
    pub const UNEXPECTED_SERVER_RESPONSE: Self =
        Self(std::borrow::Cow::Borrowed("UnexpectedServerResponse"));
    /// The namespace is being deleted.
    pub const NAMESPACE_TERMINATING: Self =
        Self(std::borrow::Cow::Borrowed("NamespaceTerminating"));
    /// The resource version asked for is newer than the server's.
    pub const RESOURCE_VERSION_TOO_LARGE: Self =
        Self(std::borrow::Cow::Borrowed("ResourceVersionTooLarge"));
    /// A disruption budget forbids the eviction.
    pub const DISRUPTION_BUDGET: Self = Self(std::borrow::Cow::Borrowed("DisruptionBudget"));

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<ErrorType> for CauseType {
    fn from(kind: ErrorType) -> Self {
        Self(kind.reason().into())
    }
}

impl From<&FieldError> for Cause {
    fn from(error: &FieldError) -> Self {
        Self {
            reason: error.kind.into(),
            message: error.body(),
            field: error.field.clone(),
        }
    }
}

fn kind() -> String {
    "Status".to_owned()
}

fn api_version() -> String {
    "v1".to_owned()
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero_code(v: &u16) -> bool {
    *v == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero_i32(v: &i32) -> bool {
    *v == 0
}

impl Status {
    /// The status as a tree.
    pub fn to_value(&self) -> Value {
        // Strings and numbers only: serialisation cannot fail.
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    /// Reads a status out of an answer; None when the tree is not a `Status`.
    pub fn from_value(v: &Value) -> Option<Self> {
        if crate::object::kind(v) != "Status" {
            return None;
        }
        Self::deserialize(v).ok()
    }

    /// Whether the status says success.
    pub fn is_success(&self) -> bool {
        self.status == "Success"
    }

    /// Seconds for a `Retry-After` header, if the client should come again.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        let seconds = self.details.as_ref().map_or(0, |d| d.retry_after_seconds);
        u32::try_from(seconds).ok().filter(|s| *s > 0)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}
