//! Validation of volume attachments.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};
use crate::core::persistentvolume::validation as persistent;

const MAX_METADATA_BYTES: usize = 256 * 1024;
const MAX_MESSAGE_BYTES: usize = 1024;

pub(super) fn validate(attachment: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(attachment, "spec").unwrap_or(&Value::Null);
    let attacher = tree::text(spec, "attacher");
    checks::driver_name(&mut errors, attacher, &path.child("attacher"));
    let volume = tree::get(spec, "source.persistentVolumeName").and_then(Value::as_str);
    let at = path.child("source");
    let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (tree::get(spec, "source.inlineVolumeSpec"), volume) {
        (None, None) => errors.push(field::required(&at, detail)),
        (Some(_), Some(_)) => errors.push(field::forbidden(&at, detail)),
        (None, Some("")) => {
            let at = at.child("persistentVolumeName");
            let detail = "must specify non empty persistentVolumeName";
            errors.push(field::required(&at, detail));
        }
        (Some(inline), None) => {
            persistent::inline(&mut errors, inline, &at.child("inlineVolumeSpec"));
        }
        (None, Some(_)) => {}
    }
    let node = tree::text(spec, "nodeName");
    errors.check(
        &path.child("nodeName"),
        node,
        names::is_dns1123_subdomain(node),
    );
    status(&mut errors, attachment);
    if let Some(name) = volume {
        let at = at.child("persistentVolumeName");
        errors.check(&at, name, names::is_dns1123_subdomain(name));
    }
    errors
}

fn status(errors: &mut ErrorList, attachment: &Value) {
    let path = Path::new("status");
    let status = tree::get(attachment, "status").unwrap_or(&Value::Null);
    let metadata = tree::map(status, "attachmentMetadata").iter();
    let bytes: usize = metadata
        .map(|(key, value)| key.len() + value.as_str().unwrap_or_default().len())
        .sum();
    if bytes > MAX_METADATA_BYTES {
        let at = path.child("attachmentMetadata");
        errors.push(field::too_long(&at, MAX_METADATA_BYTES));
    }
    for name in ["attachError", "detachError"] {
        let Some(error) = tree::get(status, name) else {
            continue;
        };
        let at = path.child(name);
        if tree::text(error, "message").len() > MAX_MESSAGE_BYTES {
            // Upstream names the limit of another field.
            errors.push(field::too_long(&at.child("message"), MAX_METADATA_BYTES));
        }
        if let Some(code) = tree::int(error, "errorCode").filter(|code| *code < 0) {
            let detail = "must be between 0 and 2147483647, inclusive";
            errors.push(field::invalid(&at.child("errorCode"), code, detail));
        }
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    checks::immutable(&mut errors, new, old, "spec");
    errors
}
