//! The label and annotations by which the objects of a file form a set: those of rancher's wrangler
//! (`pkg/apply`), so that a K3s cluster's objects are recognised.

use std::fmt::Write as _;
use std::io::{Read, Write as _};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use k3s_meta::{object, tree};
use serde_json::Value;
use sha1::{Digest, Sha1};

use crate::addon::{GVK, NAMESPACE};

pub(crate) const HASH: &str = "objectset.rio.cattle.io/hash";
const APPLIED: &str = "objectset.rio.cattle.io/applied";
const ID: &str = "objectset.rio.cattle.io/id";
const OWNER_GVK: &str = "objectset.rio.cattle.io/owner-gvk";
const OWNER_NAME: &str = "objectset.rio.cattle.io/owner-name";
const OWNER_NAMESPACE: &str = "objectset.rio.cattle.io/owner-namespace";
/// Choices that users make on objects of a file: which class is the default.
const CHOICES: &[&str] = &[
    "storageclass.kubernetes.io/is-default-class",
    "ingressclass.kubernetes.io/is-default-class",
];
/// The largest text that an annotation is decompressed to.
const MAX_APPLIED_BYTES: u64 = 16 << 20;

/// The label value of all objects of an AddOn.
pub(crate) fn hash(addon: &str) -> String {
    let mut digest = Sha1::new();
    // The values of id, owner-gvk, owner-name and owner-namespace, in the order of their names.
    for part in ["", GVK, addon, NAMESPACE] {
        digest.update(part.as_bytes());
    }
    digest
        .finalize()
        .iter()
        .fold(String::new(), |mut out, byte| {
            // Writing to a String cannot fail.
            let _ = write!(out, "{byte:02x}");
            out
        })
}

/// The object to write: with the set's label and annotations, one of which has the compressed object.
pub(crate) fn marked(mut wanted: Value, addon: &str) -> Value {
    let marks = [
        (ID, ""),
        (OWNER_GVK, GVK),
        (OWNER_NAME, addon),
        (OWNER_NAMESPACE, NAMESPACE),
    ];
    for (name, value) in marks {
        object::set_annotation(&mut wanted, name, value);
    }
    object::remove_annotation(&mut wanted, APPLIED);
    tree::remove(&mut wanted, "status");
    object::set_label(&mut wanted, HASH, hash(addon));
    let packed = pack(&wanted);
    object::set_annotation(&mut wanted, APPLIED, packed);
    wanted
}

/// The object that was applied last, from a live object; null when there is none.
pub(crate) fn applied(live: &Value) -> Value {
    object::annotation(live, APPLIED)
        .and_then(unpack)
        .unwrap_or_default()
}

/// The wanted object with the choices that users made on the live one since the file was applied. K3s
/// reverts them at each start, so that users cannot choose another default class.
pub(crate) fn keep_choices(live: &Value, mut wanted: Value) -> Value {
    let before = applied(live);
    for name in CHOICES {
        let said = object::annotation(&wanted, name);
        if said.is_none() || object::annotation(&before, name) != said {
            continue;
        }
        match object::annotation(live, name) {
            Some(chosen) => object::set_annotation(&mut wanted, name, chosen),
            None => drop(object::remove_annotation(&mut wanted, name)),
        }
    }
    wanted
}

fn pack(value: &Value) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    let text = value.to_string();
    let written = encoder.write_all(text.as_bytes());
    let packed = written.and_then(|()| encoder.finish());
    STANDARD_NO_PAD.encode(packed.unwrap_or_default())
}

fn unpack(text: &str) -> Option<Value> {
    if text.starts_with('{') {
        return serde_json::from_str(text).ok();
    }
    let packed = STANDARD_NO_PAD
        .decode(text)
        .or_else(|_| STANDARD.decode(text))
        .ok()?;
    let mut json = String::new();
    GzDecoder::new(packed.as_slice())
        .take(MAX_APPLIED_BYTES)
        .read_to_string(&mut json)
        .ok()?;
    serde_json::from_str(&json).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_hash_is_that_of_k3s() {
        // As on the objects of a K3s cluster's coredns.
        assert_eq!(hash("coredns"), "bce283298811743a0386ab510f2f67ef74240c57");
    }

    #[test]
    fn what_was_applied_is_read_back() {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}, "status": {}});
        let marked = marked(object, "x");
        let applied = applied(&marked);
        assert_eq!(applied["data"]["k"], "v");
        assert_eq!(applied["metadata"]["labels"][HASH], hash("x"));
        assert!(
            applied["metadata"]["annotations"].get(APPLIED).is_none()
                && applied.get("status").is_none()
        );
        assert_eq!(super::applied(&json!({})), Value::Null);
    }

    #[test]
    fn the_choice_of_a_default_class_is_kept_until_the_file_changes() {
        let class = |value: &str| {
            let annotations = json!({CHOICES[0]: value, "other": "a"});
            json!({"kind": "StorageClass", "metadata": {"name": "c", "annotations": annotations}})
        };
        let of = |object: &Value| object::annotation(object, CHOICES[0]).map(str::to_owned);
        let mut live = marked(class("true"), "x");
        assert_eq!(
            of(&keep_choices(&live, marked(class("true"), "x"))).unwrap(),
            "true"
        );
        object::set_annotation(&mut live, CHOICES[0], "false");
        let wanted = keep_choices(&live, marked(class("true"), "x"));
        assert_eq!(
            (
                of(&wanted).unwrap().as_str(),
                object::annotation(&wanted, "other")
            ),
            ("false", Some("a"))
        );
        assert_eq!(
            of(&applied(&wanted)).unwrap(),
            "true",
            "what the file said is remembered"
        );
        object::remove_annotation(&mut live, CHOICES[0]);
        assert_eq!(of(&keep_choices(&live, marked(class("true"), "x"))), None);
        assert_eq!(
            of(&keep_choices(&live, marked(class("no"), "x"))).unwrap(),
            "no",
            "the file changed"
        );
    }
}
