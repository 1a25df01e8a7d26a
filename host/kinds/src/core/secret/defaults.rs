//! Defaults of secrets, and the plain-text form of their data.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k3s_meta::tree;
use serde_json::Value;

/// `stringData` is a convenience for writers: it becomes part of `data` and is never read back.
pub(super) fn default(secret: &mut Value) {
    tree::set_zero(secret, "type", "Opaque");
    let plain = tree::map(secret, "stringData").clone();
    tree::remove(secret, "stringData");
    if plain.is_empty() {
        return;
    }
    if let Some(data) = tree::ensure(secret, "data") {
        for (key, value) in plain {
            let encoded = STANDARD.encode(value.as_str().unwrap_or_default());
            data.insert(key, encoded.into());
        }
    }
}
