//! Validation of IP addresses.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

pub(super) fn validate(address: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec.parentRef");
    let Some(parent) = tree::get(address, "spec.parentRef") else {
        errors.push(field::required(&path, ""));
        return errors;
    };
    let group = tree::text(parent, "group");
    // Services are of the core group, which has no name.
    if !group.is_empty() {
        let outcome = names::is_dns1123_subdomain(group);
        errors.check(&path.child("group"), group, outcome);
    }
    for name in ["resource", "name"] {
        checks::required_segment(&mut errors, parent, name, &path);
    }
    let namespace = tree::text(parent, "namespace");
    if !namespace.is_empty() {
        let outcome = names::is_path_segment(namespace);
        errors.check(&path.child("namespace"), namespace, outcome);
    }
    errors
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    checks::immutable(&mut errors, new, old, "spec.parentRef");
    errors
}
