//! YAML in and out, by way of the JSON tree.

use serde_json::Value;

/// A document that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum YamlError {
    #[error("yaml: invalid UTF-8")]
    NotUtf8(#[source] std::str::Utf8Error),
    #[error("error converting YAML to JSON")]
    Malformed(#[source] serde_saphyr::Error),
    /// Does not happen for a tree of JSON.
    #[error("error converting JSON to YAML")]
    Unwritable(#[source] serde_saphyr::ser::Error),
}

/// Reads one YAML document.
///
/// # Errors
/// Where it is malformed.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, YamlError> {
    let text = std::str::from_utf8(bytes).map_err(YamlError::NotUtf8)?;
    serde_saphyr::from_str(text).map_err(YamlError::Malformed)
}

/// Writes a tree as YAML.
///
/// # Errors
/// Where the tree cannot be written.
pub(crate) fn write(value: &Value) -> Result<String, YamlError> {
    serde_saphyr::to_string(value).map_err(YamlError::Unwritable)
}
