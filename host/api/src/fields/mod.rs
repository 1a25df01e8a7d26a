//! Decoding of request bodies against the schema, as upstream's typed decoder would: unknown and
//! duplicate fields, wrong types with Go's wording, and the normal forms that a round trip through Go
//! structs leaves behind.
//!
//! One walk over the tree does all of it, in place. Objects stay dynamic trees; only what the schema
//! does not know is removed (and reported).

mod decode;
mod parse;
mod scalar;

pub use parse::{Parsed, duplicates, parse};

use crate::kind::Kind;
use crate::schema::TypeId;
use serde_json::Value;

/// Most complaints about one body: upstream stops there too, and a body made of unknown fields must not
/// make an answer larger than itself.
pub const MAX_COMPLAINTS: usize = 100;

/// A body that the schema cannot hold. The message is upstream's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    kind: String,
    version: String,
    /// What is wrong: `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`.
    pub cause: String,
}

impl DecodeError {
    fn new(kind: &str, version: &str, cause: String) -> Self {
        Self {
            kind: kind.to_owned(),
            version: version.to_owned(),
            cause,
        }
    }

    /// The answer of the API: 400.
    pub fn to_status(&self) -> k3s_meta::Status {
        k3s_meta::Status::bad_request(self.to_string())
    }
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            kind,
            version,
            cause,
        } = self;
        write!(
            f,
            "{kind} in version \"{version}\" cannot be handled as a {kind}: {cause}"
        )
    }
}

impl std::error::Error for DecodeError {}

/// Checks the body against the kind's schema, removes what the schema does not know and brings values into
/// normal form. Gives one `unknown field "spec.foo"` for each removed field.
pub fn decode(kind: &Kind, value: &mut Value) -> Result<Vec<String>, DecodeError> {
    decode_type(kind.schema, kind.kind, kind.version, value)
}

/// [`decode`] for bodies that are not of a resource's own kind: scales, evictions, token requests, options.
pub fn decode_type(
    schema: TypeId,
    kind: &str,
    version: &str,
    value: &mut Value,
) -> Result<Vec<String>, DecodeError> {
    decode::walk(schema, value).map_err(|cause| DecodeError::new(kind, version, cause))
}

/// [`decode`] without changing the body.
pub fn check(kind: &Kind, value: &Value) -> Result<Vec<String>, DecodeError> {
    decode(kind, &mut value.clone())
}

/// The message of strict validation for complaints from [`decode`] and [`duplicates`].
pub fn strict_message(kind: &str, version: &str, complaints: &[String]) -> String {
    let cause = format!("strict decoding error: {}", complaints.join(", "));
    DecodeError::new(kind, version, cause).to_string()
}

#[cfg(test)]
mod tests;
