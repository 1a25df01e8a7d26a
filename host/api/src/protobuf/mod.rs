//! Protobuf bodies, which typed Go clients (parts of `kubectl` among them) send: read into the same
//! tree as JSON, by the field numbers of the schema.
//!
//! Answers are never protobuf: every such client takes JSON as well and says so in `Accept`.

mod decode;
mod error;
mod pointers;
mod wire;

use k3s_meta::gvk::split_api_version;
use serde_json::Value;

use crate::schema::{self, Type};
pub use error::ProtobufError;
use error::Result;
use wire::{Reader, Wire};

/// The media type.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
/// What every body starts with.
const MAGIC: &[u8] = b"k8s\0";

/// Reads a body: the envelope (`runtime.Unknown`), then the object of the type it names.
///
/// # Errors
/// Where the body is malformed or of an unknown type.
pub fn parse(bytes: &[u8]) -> Result<Value> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(ProtobufError::Prefix)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    let mut envelope = Reader::new(rest);
    while let Some((tag, value)) = envelope.next()? {
        match (tag, value) {
            (1, Wire::Bytes(meta)) => (api_version, kind) = type_meta(meta)?,
            (2, Wire::Bytes(object)) => raw = object,
            (3, Wire::Bytes(encoding)) if !encoding.is_empty() => {
                return Err(ProtobufError::Encoded);
            }
            _ => {}
        }
    }
    let mut object = decode::message(type_of(&api_version, &kind)?, raw, 0)?;
    if let Some(map) = object.as_object_mut() {
        map.insert("apiVersion".to_owned(), api_version.into());
        map.insert("kind".to_owned(), kind.into());
    }
    Ok(object)
}

fn type_of(api_version: &str, kind: &str) -> Result<&'static Type> {
    let (group, version) = split_api_version(api_version)?;
    let id = match kind {
        // Clients name the group version of the resource, and every one has this type (upstream
        // `metav1.AddToGroupVersion`), those of custom resources too.
        "DeleteOptions" => schema::by_name(DELETE_OPTIONS),
        _ => schema::by_gvk(group, version, kind),
    };
    let id = id.ok_or_else(|| ProtobufError::UnknownKind {
        kind: kind.to_owned(),
        api_version: api_version.to_owned(),
    })?;
    Ok(id.get())
}

/// `runtime.TypeMeta`: API version and kind.
fn type_meta(bytes: &[u8]) -> Result<(String, String)> {
    let (mut api_version, mut kind) = (String::new(), String::new());
    let mut reader = Reader::new(bytes);
    while let Some((tag, value)) = reader.next()? {
        match tag {
            1 => api_version = value.text()?,
            2 => kind = value.text()?,
            _ => {}
        }
    }
    Ok((api_version, kind))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn varint(mut number: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while number > 127 {
            out.push(u8::try_from(number & 127).unwrap() | 128);
            number >>= 7;
        }
        out.push(u8::try_from(number).unwrap());
        out
    }

    /// A field of length-delimited bytes.
    fn bytes(tag: usize, value: &[u8]) -> Vec<u8> {
        [varint(tag << 3 | 2), varint(value.len()), value.to_vec()].concat()
    }

    fn number(tag: usize, value: u8) -> Vec<u8> {
        [varint(tag << 3), vec![value]].concat()
    }

    fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [bytes(1, api_version.as_bytes()), bytes(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), bytes(1, &meta), bytes(2, raw)].concat()
    }

    #[test]
    fn a_deployment_with_explicit_zero() {
        let labels = bytes(11, &[bytes(1, b"app"), bytes(2, b"a")].concat());
        let meta = bytes(
            1,
            &[bytes(1, b"web"), bytes(3, b""), bytes(8, b""), labels].concat(),
        );
        // replicas is a pointer: 0 is said, not missing. minReadySeconds and paused are not.
        let spec = bytes(2, &[number(1, 0), number(5, 0), number(7, 0)].concat());
        let body = envelope("apps/v1", "Deployment", &[meta, spec].concat());
        assert_eq!(
            parse(&body).unwrap(),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"app": "a"}}, "spec": {"replicas": 0}})
        );
    }

    #[test]
    fn embedded_messages_and_special_types() {
        // Volume{name: v, volumeSource: {emptyDir: {sizeLimit: 1Mi}}}
        let empty_dir = bytes(2, &bytes(2, &bytes(1, b"1Mi")));
        let volume = bytes(1, &[bytes(1, b"v"), bytes(2, &empty_dir)].concat());
        // Container{name: c, ports: [{containerPort: 80}], livenessProbe: {handler: {httpGet: {port: http}}}}
        let http_get = bytes(
            2,
            &bytes(2, &[number(1, 1), number(2, 0), bytes(3, b"http")].concat()),
        );
        let probe = bytes(10, &bytes(1, &http_get));
        let container = bytes(
            2,
            &[bytes(1, b"c"), bytes(6, &number(3, 80)), probe].concat(),
        );
        let created = bytes(
            8,
            &[vec![8, 0x80, 0xa8, 0xd6, 0xb9, 0x06], number(2, 0)].concat(),
        );
        let body = envelope(
            "v1",
            "Pod",
            &[bytes(1, &created), bytes(2, &[volume, container].concat())].concat(),
        );
        let pod = parse(&body).unwrap();
        assert_eq!(
            pod["spec"]["volumes"],
            json!([{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}])
        );
        let container = &pod["spec"]["containers"][0];
        assert_eq!(container["ports"], json!([{"containerPort": 80}]));
        assert_eq!(
            container["livenessProbe"],
            json!({"httpGet": {"port": "http"}})
        );
        assert!(
            pod["metadata"]["creationTimestamp"]
                .as_str()
                .unwrap()
                .ends_with('Z')
        );
    }

    #[test]
    fn every_group_version_has_delete_options() {
        // gracePeriodSeconds: 0, propagationPolicy: Background
        let raw = [number(1, 0), bytes(4, b"Background")].concat();
        for api_version in [
            "v1",
            "apps/v1",
            "apiextensions.k8s.io/v1",
            "example.com/v1alpha1",
        ] {
            let options = parse(&envelope(api_version, "DeleteOptions", &raw)).unwrap();
            let expected = json!({
                "apiVersion": api_version,
                "kind": "DeleteOptions",
                "gracePeriodSeconds": 0,
                "propagationPolicy": "Background",
            });
            assert_eq!(options, expected);
        }
    }

    #[test]
    fn structs_that_embed_one_another_are_flat() {
        let rule = [bytes(1, b"apps"), bytes(3, b"deployments"), bytes(4, b"*")].concat();
        let operations = [bytes(1, b"CREATE"), bytes(2, &rule)].concat();
        let named = [bytes(1, b"web"), bytes(2, &operations)].concat();
        let constraints = bytes(3, &named);
        let body = envelope(
            "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicy",
            &bytes(2, &bytes(2, &constraints)),
        );
        let policy = parse(&body).unwrap();
        assert_eq!(
            policy["spec"]["matchConstraints"],
            json!({"resourceRules": [{"resourceNames": ["web"], "operations": ["CREATE"],
                "apiGroups": ["apps"], "resources": ["deployments"], "scope": "*"}]})
        );
    }

    #[test]
    fn schemas_of_custom_resources() {
        let kind = |name: &[u8]| bytes(5, name);
        // items: {type: string}; default: []
        let items = bytes(24, &bytes(1, &kind(b"string")));
        let default = bytes(8, &bytes(1, b"[]"));
        let list = [kind(b"array"), items, default].concat();
        // minimum: 0, default: false, additionalProperties: false
        let minimum = [vec![11 << 3 | 1], vec![0; 8]].concat();
        let default = bytes(8, &bytes(1, b"false"));
        let additional = bytes(30, &number(1, 0));
        let closed = [kind(b"object"), minimum, default, additional].concat();
        let property =
            |name: &[u8], schema: &[u8]| bytes(29, &[bytes(1, name), bytes(2, schema)].concat());
        let root = [
            kind(b"object"),
            property(b"list", &list),
            property(b"closed", &closed),
        ]
        .concat();
        // The keywords whose names are no identifiers.
        let root = [
            root,
            bytes(2, b"s"),
            bytes(3, b"r"),
            number(38, 1),
            number(39, 1),
            number(40, 1),
            bytes(41, b"k"),
            bytes(42, b"map"),
            bytes(43, b"atomic"),
            bytes(44, &bytes(1, b"self")),
        ]
        .concat();
        let validation = bytes(4, &bytes(1, &root));
        let version = bytes(7, &[bytes(1, b"v1"), validation].concat());
        let body = envelope(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            &bytes(2, &version),
        );
        let definition = parse(&body).unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let expected = json!({
            "$ref": "r",
            "$schema": "s",
            "x-kubernetes-embedded-resource": true,
            "x-kubernetes-int-or-string": true,
            "x-kubernetes-list-map-keys": ["k"],
            "x-kubernetes-list-type": "map",
            "x-kubernetes-map-type": "atomic",
            "x-kubernetes-preserve-unknown-fields": true,
            "x-kubernetes-validations": [{"rule": "self"}],
            "type": "object",
            "properties": {
                "list": {"type": "array", "items": {"type": "string"}, "default": []},
                "closed": {
                    "type": "object",
                    "minimum": 0.0,
                    "default": false,
                    "additionalProperties": false,
                },
            },
        });
        assert_eq!(*schema, expected);
    }

    #[test]
    fn malformed_bodies_are_errors() {
        assert!(parse(b"{}").is_err());
        assert!(parse(&envelope("v1", "Nothing", b"")).is_err());
        assert!(parse(&envelope("v1", "Pod", &[10, 200])).is_err());
        assert!(parse(b"k8s\0\xff").is_err());
    }
}
