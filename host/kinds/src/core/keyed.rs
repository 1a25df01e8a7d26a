//! Rules for objects that are maps of keys to data: config maps and secrets.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::Check;
use crate::equality::semantic_eq;

/// One MiB, which also keeps the object below the request limit of the datastore.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

const IMMUTABLE: &str = "field is immutable when `immutable` is set";

/// Validates the keys of the map `name`.
pub(super) fn keys(errors: &mut ErrorList, object: &Value, name: &str) {
    for key in tree::map(object, name).keys() {
        errors.check(
            &Path::new(name).key(key),
            key,
            names::is_config_map_key(key),
        );
    }
}

/// Bytes that a base64 text stands for.
pub(super) fn decoded_len(value: &Value) -> usize {
    let text = value.as_str().unwrap_or_default();
    text.trim_end_matches('=').len() * 3 / 4
}

/// An immutable object keeps its data, and stays immutable.
pub(super) fn immutable(errors: &mut ErrorList, new: &Value, old: &Value, maps: &[&str]) {
    if !tree::flag(old, "immutable") {
        return;
    }
    if !tree::flag(new, "immutable") {
        errors.push(field::forbidden(&Path::new("immutable"), IMMUTABLE));
    }
    for name in maps {
        if !semantic_eq(tree::get(new, name), tree::get(old, name)) {
            errors.push(field::forbidden(&Path::new(name), IMMUTABLE));
        }
    }
}
