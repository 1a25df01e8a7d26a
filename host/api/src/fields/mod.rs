//! Decoding of request bodies against the schema, as upstream's typed decoder would: unknown and
//! duplicate fields, wrong types with Go's wording, and the normal forms that a round trip through Go
//! structs leaves behind.
//!
//! One walk over the tree does all of it, in place. Objects stay dynamic trees; only what the schema
//! does not know is removed (and reported).

mod complaints;
mod convert;
mod decode;
mod error;
mod order;
mod parse;
mod scalar;
mod time;
mod zeros;

pub use complaints::Complaints;
pub use error::DecodeError;
pub use order::in_document_order;
pub use parse::{Parsed, parse, parse_typed};

use self::decode::Source;
use crate::kind::{Kind, by_kind};
use crate::schema::TypeId;
use k3s_meta::gvk::split_api_version;
use k3s_meta::object;
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
    decode::walk(schema, Source::Body, value).map_err(|cause| DecodeError {
        kind: kind.to_owned(),
        version: version.to_owned(),
        cause,
    })
}

/// [`decode()`] for an object that a strategic merge patch was applied to: upstream converts that tree without
/// writing it as JSON, with other rules for numbers and other words. Unknown fields come in order of their names.
pub fn decode_patched(kind: &Kind, value: &mut Value) -> Result<Vec<String>, DecodeError> {
    let walked = decode::walk(kind.schema, Source::PatchedTree, value);
    let mut unknown = walked.map_err(|cause| DecodeError {
        kind: kind.kind.to_owned(),
        version: kind.version.to_owned(),
        cause,
    })?;
    unknown.sort_unstable();
    Ok(unknown)
}

/// Gives the zero values of an object of a built-in kind, in the version that it names, the form in which upstream
/// stores it: what Go leaves out is removed, what Go always writes is put in. For objects that were changed after
/// they were decoded; other kinds stay as they are.
pub fn settle(object: &mut Value) {
    let named = split_api_version(object::api_version(object)).ok();
    let kind = named.and_then(|(group, version)| by_kind(group, version, object::kind(object)));
    if let Some((kind, map)) = kind.zip(object.as_object_mut()) {
        zeros::settle(kind.object_type(), map);
    }
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
