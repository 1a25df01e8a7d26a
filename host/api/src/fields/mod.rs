//! Decoding of request bodies against the schema, as upstream's typed decoder would: unknown and
//! duplicate fields, wrong types with Go's wording, and the normal forms that a round trip through Go
//! structs leaves behind.
//!
//! One walk over the tree does all of it, in place. Objects stay dynamic trees; only what the schema
//! does not know is removed (and reported).

mod complaints;
mod decode;
mod error;
mod parse;
mod scalar;

pub use complaints::Complaints;
pub use error::DecodeError;
pub use parse::{Parsed, parse};

use crate::kind::Kind;
use crate::schema::TypeId;
use serde_json::Value;

/// Checks the body against the kind's schema, removes what the schema does not know and brings values into
/// normal form. Returns one `unknown field "spec.foo"` for each removed field.
pub fn decode(kind: &Kind, value: &mut Value) -> Result<Vec<String>, DecodeError> {
    decode_type(kind.schema, kind.kind, kind.version, value)
}

/// [`decode()`] for bodies that are not of a resource's own kind: scales, evictions, token requests, options.
pub fn decode_type(
    schema: TypeId,
    kind: &str,
    version: &str,
    value: &mut Value,
) -> Result<Vec<String>, DecodeError> {
    decode::walk(schema, value).map_err(|cause| DecodeError {
        kind: kind.to_owned(),
        version: version.to_owned(),
        cause,
    })
}

/// The message of strict validation for complaints from [`decode()`] and [`parse()`].
pub fn strict_message(kind: &str, version: &str, complaints: &[String]) -> String {
    let complaints = complaints.join(", ");
    format!(
        "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {complaints}"
    )
}

#[cfg(test)]
mod tests;
