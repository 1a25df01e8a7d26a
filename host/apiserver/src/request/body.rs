//! The body of a write: read once, bounded, decoded once, checked against the schema.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use k3s_api::protobuf::{self, ProtobufError};
use k3s_api::{fields, schema};
use k3s_base::error::chain;
use k3s_meta::{Status, object};
use k3s_registry::{Error, Resource, Result, Warnings};
use k3s_serve::body::Pace;
use k3s_serve::{Body, ServeError};
use serde_json::Value;

use super::options::FieldValidation;
use super::yaml::{self, YamlError};
use crate::context::Context;
use crate::inflight::{self, BodyRoom};

/// `MaxRequestBodyBytes`.
pub(crate) const LIMIT_BYTES: usize = 3 * 1024 * 1024;

/// Reads a whole body.
///
/// # Errors
/// 413 above the limit, 400 where the client breaks off.
pub(crate) async fn read(body: Body) -> Result<Bytes> {
    k3s_serve::body::read(body, LIMIT_BYTES)
        .await
        .map_err(|error| unreadable(&error))
}

/// What a body may take: at least what a slow line needs for small objects, and no more than the time limit
/// of requests for the largest.
const PACE: Pace = Pace {
    grace: Duration::from_secs(10),
    bytes_per_second: 64 * 1024,
};

/// Reads a whole body from a client, in the room that is left for it.
///
/// # Errors
/// 413 above the limit, 429 without room, 504 where it does not come in time, 400 where the client breaks off.
pub(crate) async fn receive(body: Body, room: Option<&mut BodyRoom>) -> Result<Bytes> {
    let mut room = room;
    let fits = |bytes: usize| room.as_mut().is_none_or(|room| room.grow(bytes));
    k3s_serve::body::read_at_pace(body, LIMIT_BYTES, PACE, fits)
        .await
        .map_err(|error| unreadable(&error))
}

fn unreadable(error: &ServeError) -> Error {
    match error {
        ServeError::TooLarge { limit } => Status::too_large(&format!("limit is {limit}")).into(),
        ServeError::NoRoom => inflight::full(),
        ServeError::Timeout(_) => {
            Status::timeout("the body of the request did not come in time").into()
        }
        other => {
            let why = chain(other);
            Status::bad_request(format!("unable to read the request body: {why}")).into()
        }
    }
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

/// A kind of bodies that are no objects of the resource they are sent to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyKind {
    /// Its definition in the schema tables.
    pub(crate) definition: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) version: &'static str,
}

/// Options of a delete, in the version of any group.
pub(crate) const DELETE_OPTIONS: BodyKind = BodyKind {
    definition: "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    kind: "DeleteOptions",
    version: "v1",
};

/// Decodes a body and checks it against the schema of its kind; unknown fields are dropped.
///
/// # Errors
/// 415 for a media type this server does not read, 400 for a malformed body or a value of the wrong type.
pub(crate) async fn decode(
    context: &Context,
    bytes: &Bytes,
    kind: &BodyKind,
    validation: FieldValidation,
) -> Result<Value> {
    let Decoded {
        mut value,
        duplicates: mut found,
    } = decode_noting(&context.headers, bytes, kind.kind, fields::parse_typed).await?;
    let missing = || Status::internal(&format!("{} is in no table", kind.definition));
    let schema = schema::by_name(kind.definition).ok_or_else(missing)?;
    let unknown = fields::decode_type(schema, kind.kind, kind.version, &mut value);
    found.extend(unknown.map_err(|error| error.to_status())?);
    complain(
        found,
        kind.kind,
        kind.version,
        validation,
        &context.warnings,
    )?;
    Ok(value)
}

/// A body that is no object in a form this server reads.
#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error("couldn't get version/kind; json parse error")]
    Json(#[source] serde_json::Error),
    #[error(transparent)]
    Yaml(YamlError),
    #[error(transparent)]
    Protobuf(ProtobufError),
    #[error("couldn't get version/kind; json parse error: the body is not an object")]
    NotAnObject,
}

/// A tree and the fields that the body has twice.
struct Decoded {
    value: Value,
    duplicates: Vec<String>,
}

/// How JSON is parsed: with a type or without.
type Parse = fn(&[u8]) -> std::result::Result<fields::Parsed, serde_json::Error>;

/// As [`decode`], with the fields that the body has twice.
async fn decode_noting(
    headers: &HeaderMap,
    bytes: &Bytes,
    kind: &str,
    parse: Parse,
) -> Result<Decoded> {
    let parsed = match content_type(headers).as_str() {
        "application/json" | "text/json" => parse_json(bytes, parse),
        "application/yaml" | "application/x-yaml" | "text/yaml" => {
            let read = yaml::read(bytes.clone()).await;
            read.map(Decoded::of).map_err(BodyError::Yaml)
        }
        protobuf::MEDIA_TYPE => protobuf::parse(bytes)
            .map(Decoded::of)
            .map_err(BodyError::Protobuf),
        _ => return Err(unsupported()),
    };
    match parsed {
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

fn parse_json(bytes: &[u8], parse: Parse) -> std::result::Result<Decoded, BodyError> {
    let parsed = parse(bytes).map_err(BodyError::Json)?;
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
pub(crate) async fn object(
    headers: &HeaderMap,
    bytes: &Bytes,
    resource: &Resource,
    validation: FieldValidation,
    warnings: &Warnings,
) -> Result<Value> {
    // Objects of kinds that are defined at run time have no struct in Go.
    let parse: Parse = match resource.dynamic {
        Some(_) => fields::parse,
        None => fields::parse_typed,
    };
    let Decoded {
        mut value,
        duplicates,
    } = decode_noting(headers, bytes, resource.kind.kind, parse).await?;
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
    complain(found, kind.kind, kind.version, validation, warnings)
}

/// Unknown and repeated fields refuse a body, are told to the client or do not matter.
fn complain(
    found: Vec<String>,
    kind: &str,
    version: &str,
    validation: FieldValidation,
    warnings: &Warnings,
) -> Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    match validation {
        FieldValidation::Strict => {
            Err(Status::bad_request(fields::strict_message(kind, version, &found)).into())
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
