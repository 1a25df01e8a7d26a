//! The body of a write: read once, bounded, decoded once, checked against the schema.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use k3s_api::fields;
use k3s_base::error::chain;
use k3s_meta::{Status, object};
use k3s_registry::{Error, Resource, Result, Warnings};
use k3s_serve::{Body, ServeError};
use serde_json::Value;

use super::options::FieldValidation;
use super::protobuf::{self, ProtobufError};
use super::yaml::{self, YamlError};

/// `MaxRequestBodyBytes`.
pub(crate) const LIMIT_BYTES: usize = 3 * 1024 * 1024;

/// Reads a whole body.
///
/// # Errors
/// 413 above the limit, 400 where the client breaks off.
pub(crate) async fn read(body: Body) -> Result<Bytes> {
    k3s_serve::body::read(body, LIMIT_BYTES)
        .await
        .map_err(|error| match error {
            ServeError::TooLarge { limit } => {
                Status::too_large(&format!("limit is {limit}")).into()
            }
            other => {
                let why = chain(&other);
                Status::bad_request(format!("unable to read the request body: {why}")).into()
            }
        })
}

/// The media type of the body, without parameters; JSON where the client names none.
pub(crate) fn content_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media = value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if media.is_empty() {
        "application/json".to_owned()
    } else {
        media
    }
}

/// Decodes a body into a tree.
///
/// # Errors
/// 415 for a media type this server does not read, 400 for a malformed body.
pub(crate) fn decode(headers: &HeaderMap, bytes: &[u8], kind: &str) -> Result<Value> {
    decode_noting(headers, bytes, kind).map(|decoded| decoded.value)
}

/// A body that is no object in a form this server reads.
#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error("couldn't get version/kind; json parse error")]
    Json(#[source] serde_json::Error),
    #[error(transparent)]
    Yaml(#[from] YamlError),
    #[error(transparent)]
    Protobuf(#[from] ProtobufError),
    #[error("couldn't get version/kind; json parse error: the body is not an object")]
    NotAnObject,
}

/// A tree and the fields that the body has twice.
struct Decoded {
    value: Value,
    duplicates: Vec<String>,
}

/// As [`decode`], with the fields that the body has twice.
fn decode_noting(headers: &HeaderMap, bytes: &[u8], kind: &str) -> Result<Decoded> {
    let parse: fn(&[u8]) -> std::result::Result<Decoded, BodyError> =
        match content_type(headers).as_str() {
            "application/json" | "text/json" => parse_json,
            "application/yaml" | "application/x-yaml" | "text/yaml" => {
                |bytes| Ok(Decoded::of(yaml::parse(bytes)?))
            }
            protobuf::MEDIA_TYPE => |bytes| Ok(Decoded::of(protobuf::parse(bytes)?)),
            _ => return Err(unsupported()),
        };
    match parse(bytes) {
        Ok(decoded) if decoded.value.is_object() => Ok(decoded),
        Ok(_) => Err(unrecognized(bytes, kind, &BodyError::NotAnObject)),
        Err(error) => Err(unrecognized(bytes, kind, &error)),
    }
}

impl Decoded {
    /// Duplicates that YAML and protobuf cannot express are not searched for.
    fn of(value: Value) -> Self {
        Self {
            value,
            duplicates: Vec::new(),
        }
    }
}

fn parse_json(bytes: &[u8]) -> std::result::Result<Decoded, BodyError> {
    let parsed = fields::parse(bytes).map_err(BodyError::Json)?;
    Ok(Decoded {
        value: parsed.value,
        duplicates: parsed.duplicates,
    })
}

/// The refusal in upstream's words; the start of the body helps to see what was sent.
fn unrecognized(bytes: &[u8], kind: &str, error: &BodyError) -> Error {
    let start: String = String::from_utf8_lossy(bytes).chars().take(30).collect();
    let why = chain(error);
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {why} ({start:?})"
    ))
    .into()
}

fn unsupported() -> Error {
    Status::unsupported_media_type(
        "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
    )
    .into()
}

/// An object of `resource`: decoded, its type checked or filled in, its fields checked against the
/// schema; unknown ones are dropped.
///
/// # Errors
/// 400 in upstream's words.
pub(crate) fn object(
    headers: &HeaderMap,
    bytes: &[u8],
    resource: &Resource,
    validation: FieldValidation,
    warnings: &Warnings,
) -> Result<Value> {
    let Decoded {
        mut value,
        duplicates,
    } = decode_noting(headers, bytes, resource.kind.kind)?;
    check_type(&mut value, resource)?;
    check_fields(&mut value, resource, validation, duplicates, warnings)?;
    Ok(value)
}

/// Fills in a missing type; refuses another one.
///
/// # Errors
/// 400 where the object is of another kind or version.
pub(crate) fn check_type(value: &mut Value, resource: &Resource) -> Result<()> {
    let (kind, api_version) = (
        object::kind(value).to_owned(),
        object::api_version(value).to_owned(),
    );
    if !api_version.is_empty() && api_version != resource.api_version {
        return Err(Status::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            resource.api_version
        ))
        .into());
    }
    if !kind.is_empty() && kind != resource.kind.kind {
        return Err(Status::bad_request(format!(
            "{kind} in version {:?} cannot be handled as a {}: the kind in the data does not match the resource",
            resource.kind.version, resource.kind.kind
        ))
        .into());
    }
    if let Some(map) = value.as_object_mut() {
        map.insert("kind".to_owned(), resource.kind.kind.into());
        map.insert(
            "apiVersion".to_owned(),
            resource.api_version.as_str().into(),
        );
    }
    Ok(())
}

/// Checks the tree against the kind's schema and drops what the schema does not know.
///
/// # Errors
/// 400 for a value of the wrong type, and with strict validation for unknown and repeated fields.
pub(crate) fn check_fields(
    value: &mut Value,
    resource: &Resource,
    validation: FieldValidation,
    mut found: Vec<String>,
    warnings: &Warnings,
) -> Result<()> {
    let kind = resource.kind;
    if resource.dynamic.is_some() {
        found.extend(custom_fields(value, resource)?);
    } else {
        // Upstream tells the duplicates of custom resources first, those of other objects last.
        let unknown = fields::decode(kind, value).map_err(|error| error.to_status())?;
        found.splice(0..0, unknown);
    }
    if found.is_empty() {
        return Ok(());
    }
    match validation {
        FieldValidation::Strict => {
            Err(Status::bad_request(fields::strict_message(kind.kind, kind.version, &found)).into())
        }
        FieldValidation::Warn => {
            found.into_iter().for_each(|text| warnings.add(text));
            Ok(())
        }
        FieldValidation::Ignore => Ok(()),
    }
}

/// The metadata of a custom resource has the type that all metadata has; the rest is its definition's.
fn custom_fields(value: &mut Value, resource: &Resource) -> Result<Vec<String>> {
    let kind = resource.kind;
    let mut found = Vec::new();
    if let Some(metadata) = value
        .get_mut("metadata")
        .filter(|metadata| !metadata.is_null())
    {
        let unknown = fields::decode_type(kind.schema, kind.kind, kind.version, metadata);
        let unknown = unknown.map_err(|error| error.to_status())?;
        let below =
            |text: String| text.replacen("unknown field \"", "unknown field \"metadata.", 1);
        found.extend(unknown.into_iter().map(below));
    }
    found.extend(resource.strategy.prune(value));
    Ok(found)
}
