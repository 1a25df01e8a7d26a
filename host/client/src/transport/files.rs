//! Credentials in files: read again when the file changes.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::error::{Error, Result};

/// How often files are looked at; a request in between uses what was read last. Rotation gives
/// minutes of overlap, so seconds are enough.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The newest modification time among `paths`; `None` where one cannot be read, which keeps the
/// credentials in use.
pub(super) fn newest_change(paths: &[&Path]) -> Option<SystemTime> {
    paths
        .iter()
        .map(|path| {
            std::fs::metadata(path)
                .and_then(|meta| meta.modified())
                .ok()
        })
        .try_fold(SystemTime::UNIX_EPOCH, |newest, changed| {
            changed.map(|time| newest.max(time))
        })
}

/// Reads a text file, naming it in the error.
pub(super) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|e| Error::Request(format!("cannot read {}: {e}", path.display())))
}
