//! YAML in and out, by way of the JSON tree.

use serde_json::Value;

/// Reads one YAML document.
///
/// # Errors
/// A text for the client where it is malformed.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "yaml: invalid UTF-8".to_owned())?;
    serde_saphyr::from_str(text).map_err(|error| format!("error converting YAML to JSON: {error}"))
}

/// Writes a tree as YAML.
///
/// # Errors
/// A text where the tree cannot be written, which does not happen for JSON.
pub(crate) fn write(value: &Value) -> Result<String, String> {
    serde_saphyr::to_string(value).map_err(|error| error.to_string())
}
