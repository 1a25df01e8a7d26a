//! YAML in and out, by way of the JSON tree.

use bytes::Bytes;
use k3s_meta::yaml::{self, Document, UnreadableYaml};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinError;

/// A document that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum YamlError {
    #[error(transparent)]
    Unreadable(#[from] UnreadableYaml),
    /// The server stops, or the reader has a fault.
    #[error("error converting YAML to JSON")]
    Interrupted(#[source] JoinError),
    /// Does not happen for a tree of JSON.
    #[error("error converting JSON to YAML")]
    Unwritable(#[source] serde_saphyr::ser::Error),
}

/// Documents that are read at once. Reading takes a core, and a second for the longest text.
const PLACES: usize = 2;
static READING: Semaphore = Semaphore::const_new(PLACES);

/// Reads one YAML document, apart from the tasks that serve requests. Others wait for their turn, each within
/// its share of bodies in memory.
///
/// # Errors
/// Where it is malformed, or aliases make it much longer than its text.
pub(crate) async fn read(bytes: Bytes) -> Result<Document, YamlError> {
    let _place = READING.acquire().await;
    let reading = tokio::task::spawn_blocking(move || yaml::parse(&bytes));
    Ok(reading.await.map_err(YamlError::Interrupted)??)
}

/// Writes a tree as YAML.
///
/// # Errors
/// Where the tree cannot be written.
pub(crate) fn write(value: &Value) -> Result<String, YamlError> {
    serde_saphyr::to_string(value).map_err(YamlError::Unwritable)
}
