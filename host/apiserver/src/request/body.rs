//! The body of a write: read once, bounded, decoded once, checked against the schema.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use k3s_api::fields;
use k3s_api::protobuf::{self, ProtobufError};
use k3s_api::schema::{self, TypeId};
use k3s_base::error::chain;
use k3s_meta::quote::quote;
use k3s_meta::{Status, json_syntax, object};
use k3s_registry::{Error, Resource, Result, Warnings};
use k3s_serve::body::Pace;
use k3s_serve::{Body, ServeError};
use serde_json::{Map, Value};

use super::options::FieldValidation;
use super::typing::{self, Mistyped, Wanted};
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
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
}

const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

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
    let mut decoded = parse(&context.headers, bytes, fields::parse_typed)
        .await?
        .map_err(|error| unrecognized(bytes, kind.kind, &chain(&error)))?;
    let wanted = Wanted {
        group: kind.group,
        version: kind.version,
        kind: kind.kind,
    };
    typing::check(&decoded.value, &wanted, bytes)
        .map_err(|error| mistyped(bytes, kind.kind, error))?;
    let schema = table(kind.definition)?;
    let unknown = fields::decode_type(schema, kind.kind, kind.version, &mut decoded.value);
    let unknown = unknown.map_err(|error| error.to_status())?;
    let found = in_order(bytes, decoded.form, decoded.repeated, unknown);
    complain(found, validation, &context.warnings, |found| {
        Status::bad_request(fields::strict_message(kind.kind, kind.version, found)).into()
    })?;
    Ok(decoded.value)
}

/// Decodes the options of a delete, which may be of any version. Upstream's refusals name no kind around them.
///
/// # Errors
/// 415 for a media type this server does not read, 400 for a malformed body or a value of the wrong type.
pub(crate) async fn delete_options(context: &Context, bytes: &Bytes) -> Result<Value> {
    let bad = |why: String| Error::from(Status::bad_request(why));
    let decoded = parse(&context.headers, bytes, fields::parse_typed)
        .await?
        .map_err(|error| bad(chain(&error)))?;
    let mut value = decoded.value;
    typing::check_delete_options(&value, bytes).map_err(|error| bad(error.to_string()))?;
    let schema = table(DELETE_OPTIONS)?;
    fields::decode_type(schema, "DeleteOptions", "v1", &mut value)
        .map_err(|error| bad(error.reason()))?;
    Ok(value)
}

fn table(definition: &str) -> Result<TypeId> {
    let missing = || Status::internal(&format!("{definition} is in no table")).into();
    schema::by_name(definition).ok_or_else(missing)
}

/// A body that is not in a form this server reads.
#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error("couldn't get version/kind; json parse error: {0}")]
    Json(String),
    #[error(transparent)]
    Yaml(YamlError),
    #[error(transparent)]
    Protobuf(ProtobufError),
}

/// The form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyForm {
    Json,
    Yaml,
    Protobuf,
}

/// A tree and complaints about what the body has twice.
struct Decoded {
    value: Value,
    form: BodyForm,
    repeated: Vec<String>,
}

/// How JSON is parsed: with a type or without.
type Parse = fn(&[u8]) -> std::result::Result<fields::Parsed, serde_json::Error>;

/// Reads a tree, by the media type of the request.
async fn parse(
    headers: &HeaderMap,
    bytes: &Bytes,
    json: Parse,
) -> Result<std::result::Result<Decoded, BodyError>> {
    let decoded = |value, form| Decoded {
        value,
        form,
        repeated: Vec::new(),
    };
    let mut parsed = match content_type(headers).as_str() {
        "application/json" | "text/json" => parse_json(bytes, json),
        "application/yaml" | "application/x-yaml" | "text/yaml" => {
            let read = yaml::read(bytes.clone()).await;
            let read = read.map(|document| Decoded {
                repeated: document.repeated.into_iter().collect(),
                ..decoded(document.value, BodyForm::Yaml)
            });
            read.map_err(BodyError::Yaml)
        }
        protobuf::MEDIA_TYPE => protobuf::parse(bytes)
            .map(|value| decoded(value, BodyForm::Protobuf))
            .map_err(BodyError::Protobuf),
        _ => return Err(unsupported()),
    };
    if let Ok(decoded) = &mut parsed
        && decoded.value.is_null()
    {
        // Go decodes null into a struct without touching it.
        decoded.value = Value::Object(Map::new());
    }
    Ok(parsed)
}

fn parse_json(bytes: &[u8], parse: Parse) -> std::result::Result<Decoded, BodyError> {
    let parsed = parse(bytes).map_err(|error| {
        BodyError::Json(json_syntax::mistake(bytes).unwrap_or_else(|| error.to_string()))
    })?;
    Ok(Decoded {
        value: parsed.value,
        form: BodyForm::Json,
        repeated: parsed.duplicates,
    })
}

/// Complaints in the order in which upstream makes them: those about JSON as it is read, those about other forms
/// after the conversion to JSON, which sorts.
fn in_order(
    bytes: &[u8],
    form: BodyForm,
    mut repeated: Vec<String>,
    unknown: Vec<String>,
) -> Vec<String> {
    repeated.extend(unknown);
    match form {
        BodyForm::Json => fields::in_document_order(bytes, repeated),
        BodyForm::Yaml | BodyForm::Protobuf => repeated,
    }
}

/// The refusal in upstream's words; the start of the body helps to see what was sent.
fn unrecognized(bytes: &[u8], kind: &str, why: &str) -> Error {
    let start = summary(bytes);
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {why} ({start})"
    ))
    .into()
}

/// Bytes of a body that a refusal shows.
const SHOWN_BYTES: usize = 30;

/// The start of a body: as text where it may be JSON, otherwise in hexadecimal digits.
fn summary(bytes: &[u8]) -> String {
    let start = bytes.get(..SHOWN_BYTES).unwrap_or(bytes);
    let text = match bytes.first() {
        None => return "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(start).into_owned(),
        Some(_) => start.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if bytes.len() > SHOWN_BYTES {
        format!("{text} ...")
    } else {
        text
    }
}

/// The refusal of a body of another type.
fn mistyped(bytes: &[u8], wanted: &str, error: Mistyped) -> Error {
    match error {
        Mistyped::Unreadable(why) => unrecognized(bytes, wanted, &why),
        Mistyped::Unfit { kind, version, why } => {
            let version = quote(&version);
            Status::bad_request(format!(
                "{kind} in version {version} cannot be handled as a {wanted}: {why}"
            ))
            .into()
        }
        Mistyped::OtherVersion { .. } => Status::bad_request(error.to_string()).into(),
    }
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
    let kind = resource.kind;
    // Objects of kinds that are defined at run time have no struct in Go.
    let json: Parse = match resource.dynamic {
        Some(_) => fields::parse,
        None => fields::parse_typed,
    };
    let decoded = parse(headers, bytes, json)
        .await?
        .map_err(|error| unrecognized(bytes, kind.kind, &chain(&error)))?;
    let mut value = decoded.value;
    check_type(&mut value, resource, bytes)?;
    let found = if resource.dynamic.is_some() {
        let mut found = decoded.repeated;
        found.extend(custom_fields(&mut value, resource)?);
        found
    } else {
        let unknown = fields::decode(kind, &mut value).map_err(|error| error.to_status())?;
        in_order(bytes, decoded.form, decoded.repeated, unknown)
    };
    complain(found, validation, warnings, |found| {
        Status::bad_request(fields::strict_message(kind.kind, kind.version, found)).into()
    })?;
    Ok(value)
}

/// Fills in a missing type; refuses another one. `text` is the body as it came.
///
/// # Errors
/// 400 where the object is of another kind or version.
fn check_type(value: &mut Value, resource: &Resource, text: &[u8]) -> Result<()> {
    if resource.dynamic.is_some() {
        check_custom_type(value, resource, text)?;
    } else {
        typing::check(value, &wanted(resource), text)
            .map_err(|error| mistyped(text, resource.kind.kind, error))?;
    }
    set_type(value, resource);
    Ok(())
}

/// What objects of a resource are.
pub(crate) fn wanted(resource: &Resource) -> Wanted<'static> {
    Wanted {
        group: resource.kind.group,
        version: resource.kind.version,
        kind: resource.kind.kind,
    }
}

/// Gives an object the type of the resource's objects.
pub(crate) fn set_type(value: &mut Value, resource: &Resource) {
    if let Some(map) = value.as_object_mut() {
        map.insert("kind".to_owned(), resource.kind.kind.into());
        let api_version = resource.api_version.as_str();
        map.insert("apiVersion".to_owned(), api_version.into());
    }
}

/// Custom resources are of no type that a body could be converted from.
///
/// # Errors
/// 400 where the object is of another kind or version.
pub(crate) fn check_custom_type(value: &Value, resource: &Resource, text: &[u8]) -> Result<()> {
    if !value.is_object() {
        let error = typing::check(value, &wanted(resource), text).err();
        return error.map_or(Ok(()), |error| {
            Err(mistyped(text, resource.kind.kind, error))
        });
    }
    let (kind, api_version) = (object::kind(value), object::api_version(value));
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
    Ok(())
}

/// Unknown and repeated fields refuse a body (as `refuse` says), are told to the client or do not matter.
pub(crate) fn complain(
    found: Vec<String>,
    validation: FieldValidation,
    warnings: &Warnings,
    refuse: impl FnOnce(&[String]) -> Error,
) -> Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    match validation {
        FieldValidation::Strict => Err(refuse(&found)),
        FieldValidation::Warn => {
            found.into_iter().for_each(|text| warnings.add(text));
            Ok(())
        }
        FieldValidation::Ignore => Ok(()),
    }
}

/// The metadata of a custom resource has the type that all metadata has; the rest is its definition's.
pub(crate) fn custom_fields(value: &mut Value, resource: &Resource) -> Result<Vec<String>> {
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
