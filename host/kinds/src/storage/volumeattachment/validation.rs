//! Validation of volume attachments.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

pub(super) fn validate(attachment: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(attachment, "spec").unwrap_or(&Value::Null);
    let attacher = tree::text(spec, "attacher");
    if attacher.is_empty() {
        errors.push(field::required(&path.child("attacher"), ""));
    } else {
        errors.check(
            &path.child("attacher"),
            attacher,
            names::is_dns1123_subdomain(&attacher.to_lowercase()),
        );
    }
    let sources = ["inlineVolumeSpec", "persistentVolumeName"];
    match sources
        .iter()
        .filter(|name| tree::get(spec, &format!("source.{name}")).is_some())
        .count()
    {
        0 => {
            let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
            errors.push(field::required(&path.child("source"), detail));
        }
        1 => {}
        _ => {
            let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
            errors.push(field::forbidden(&path.child("source"), detail));
        }
    }
    let node = tree::text(spec, "nodeName");
    errors.check(
        &path.child("nodeName"),
        node,
        names::is_dns1123_subdomain(node),
    );
    errors
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    checks::immutable(&mut errors, new, old, "spec");
    errors
}
