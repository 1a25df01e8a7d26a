//! Bodies of requests in their three forms.

use jiff::Timestamp;
use k3s_api::{Kind, fields, protobuf, schema};
use k3s_kinds::Strategy;
use k3s_meta::{plain, tree, yaml};
use serde_json::Value;

use crate::equal::{count, same};

/// Nesting that parsers take.
const MAX_PARSED_DEPTH: usize = 128;

/// API version and kind from the first line, and the rest.
fn type_and_rest(data: &[u8]) -> Option<(&str, &str, &[u8])> {
    let at = data.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&data[..at]).ok()?;
    let (api_version, kind) = line.split_once(' ')?;
    Some((api_version, kind, &data[at + 1..]))
}

fn group_and_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// The kind that the first line names, and the rest.
pub(super) fn kind_and_rest(data: &[u8]) -> Option<(&'static Kind, &[u8])> {
    let (api_version, kind, rest) = type_and_rest(data)?;
    let (group, version) = group_and_version(api_version);
    Some((k3s_api::by_kind(group, version, kind)?, rest))
}

/// API version and kind in the first line, and an object of this kind as JSON.
pub fn json_body(data: &[u8]) {
    let Some((kind, body)) = kind_and_rest(data) else {
        return;
    };
    let Ok(parsed) = fields::parse(body) else {
        return;
    };
    assert!(tree::depth(&parsed.value) <= MAX_PARSED_DEPTH);
    assert_brief(&parsed.duplicates, body);
    if parsed.duplicates.is_empty() && !plain::has_reserved_key(&parsed.value) {
        let plainly: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(parsed.value, plainly);
    }
    // Of fields that occur twice, a type has both.
    let typed = fields::parse_typed(body).unwrap();
    assert_eq!(typed.duplicates, parsed.duplicates);
    if typed.duplicates.is_empty() {
        assert_eq!(typed.value, parsed.value);
    }
    let ordered = fields::in_document_order(body, typed.duplicates.clone());
    assert!(ordered.iter().all(|it| typed.duplicates.contains(it)));
    decoded(kind, typed.value, body);
}

/// An object that is decoded is decoded to the same again, also from what is written of it; its defaults are filled in
/// once.
fn decoded(kind: &Kind, mut value: Value, body: &[u8]) {
    let Ok(unknown) = fields::decode(kind, &mut value) else {
        return;
    };
    assert_brief(&unknown, body);
    if tree::depth(&value) > tree::MAX_DEPTH {
        // It is not stored.
        return;
    }
    let text = serde_json::to_vec(&value).unwrap();
    let again = fields::parse(&text).unwrap();
    assert!(again.duplicates.is_empty());
    let mut again = again.value;
    assert!(same(&again, &value), "{again} is not {value}");
    assert_eq!(fields::decode(kind, &mut again).unwrap(), [""; 0]);
    assert!(same(&again, &value), "{again} is not {value}");
    behaves(kind, value);
}

/// Rules of a kind take every object that is decoded.
fn behaves(kind: &Kind, mut value: Value) {
    let strategy = Strategy::built_in(kind.group, kind.kind);
    strategy.default(&mut value);
    let mut again = value.clone();
    strategy.default(&mut again);
    assert_eq!(again, value, "defaults are filled in once");
    drop(strategy.validate_create(&value, kind.namespaced));
    drop(strategy.validate_update(&value, &again, kind.namespaced));
    drop(strategy.validate_status_update(&value, &again, kind.namespaced));
    drop(strategy.warnings(&value, None));
    drop(strategy.warnings(&value, Some(&again)));
    drop(strategy.fields(&value));
    let cells = strategy.cells(&value, Timestamp::UNIX_EPOCH);
    let columns = strategy.column_definitions();
    assert_eq!(cells.len(), columns.as_array().unwrap().len());
}

/// What is said of a body is not much longer than the body.
fn assert_brief(complaints: &[String], body: &[u8]) {
    let bytes: usize = complaints.iter().map(String::len).sum();
    assert!(
        bytes <= 128 * 1024 + 2 * body.len(),
        "{bytes} bytes about {}",
        body.len()
    );
}

/// A whole body in protobuf where it begins as one, else a message of the type in the first line.
pub fn protobuf_body(data: &[u8]) {
    if data.starts_with(b"k8s\0") {
        message(data);
    } else if let Some((api_version, kind, raw)) = type_and_rest(data) {
        message(&envelope(api_version, kind, raw));
    }
}

fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [b"k8s\0".to_vec(), field(1, &meta), field(2, raw)].concat()
}

/// A length-delimited field.
fn field(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![tag << 3 | 2];
    let mut length = value.len();
    while length > 127 {
        out.push(u8::try_from(length & 127).unwrap() | 128);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap());
    out.extend_from_slice(value);
    out
}

fn message(bytes: &[u8]) {
    let Ok(mut value) = protobuf::parse(bytes) else {
        return;
    };
    // Each message is a level, and a list or map around it another; at the bottom there may be JSON.
    assert!(tree::depth(&value) <= 2 * 66 + MAX_PARSED_DEPTH);
    assert!(count(&value) <= 64 + 2 * bytes.len());
    let (api_version, kind) = (
        tree::text(&value, "apiVersion").to_owned(),
        tree::text(&value, "kind").to_owned(),
    );
    assert_eq!(protobuf::parse(bytes).unwrap(), value);
    let (group, version) = group_and_version(&api_version);
    if let Some(kind) = k3s_api::by_kind(group, version, &kind) {
        decoded(kind, value, bytes);
    } else if let Some(schema) = schema::by_gvk(group, version, &kind) {
        // Nothing of it is unknown to the schema it was read by.
        if let Ok(unknown) = fields::decode_type(schema, &kind, version, &mut value) {
            assert!(
                unknown
                    .iter()
                    .all(|text| text.contains("\"kind\"") || text.contains("\"apiVersion\"")),
                "{unknown:?}"
            );
        }
    }
}

/// A document in YAML.
pub fn yaml_body(data: &[u8]) {
    let Ok(yaml::Document { value, .. }) = yaml::parse(data) else {
        return;
    };
    assert!(tree::depth(&value) <= MAX_PARSED_DEPTH);
    // Aliases say again no more than a few times what there is.
    assert!(count(&value) <= 2_100 + 8 * data.len());
    let text = serde_saphyr::to_string(&value).unwrap();
    let again = yaml::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(again.repeated.is_none(), "{text}");
    assert!(
        same(&again.value, &value),
        "{} is not {value}: {text}",
        again.value
    );
}
