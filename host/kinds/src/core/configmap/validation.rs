//! Validation of config maps.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::core::keyed;

pub(super) fn validate(map: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    keyed::keys(&mut errors, map, "data");
    keyed::keys(&mut errors, map, "binaryData");
    let binary = tree::map(map, "binaryData");
    for key in tree::map(map, "data")
        .keys()
        .filter(|key| binary.contains_key(*key))
    {
        errors.push(field::invalid(
            &Path::new("data").key(key),
            key,
            "duplicate of key present in binaryData",
        ));
    }
    let plain: usize = tree::map(map, "data")
        .values()
        .map(|value| value.as_str().unwrap_or_default().len())
        .sum();
    let total = plain + binary.values().map(keyed::decoded_len).sum::<usize>();
    if total > keyed::MAX_BYTES {
        // Upstream names no field here, which prints as an empty index.
        errors.push(field::too_long(&Path::new("[]"), keyed::MAX_BYTES));
    }
    errors
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    keyed::immutable(&mut errors, new, old, &["data", "binaryData"]);
    errors.append(validate(new));
    errors
}
