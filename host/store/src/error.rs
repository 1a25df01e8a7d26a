//! What can go wrong, one type per operation, each variant saying what the caller can do.

use std::sync::Arc;

use thiserror::Error;

use crate::backend::BackendError;
use crate::model::{Entry, Revision};

/// Why the store could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The backend refused or failed; nothing was written.
    #[error("cannot open the datastore")]
    Backend(#[from] BackendError),
    /// The backend contradicts itself.
    #[error("the datastore holds inconsistent data: {0}")]
    Inconsistent(String),
}

/// Why a write did not happen.
#[derive(Clone, Debug, Error)]
pub enum WriteError {
    /// The precondition does not hold; `current` is the state that it was checked against.
    #[error("the precondition does not hold")]
    Conflict {
        /// The entry that exists; none when the key does not exist.
        current: Option<Arc<Entry>>,
    },
    /// Key or value is above the limit.
    #[error("{what} of {bytes} bytes is above the limit of {limit_bytes}")]
    TooLarge {
        /// "key" or "value".
        what: &'static str,
        /// Its size in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit_bytes: usize,
    },
    /// The backend could not commit. Nothing was written, unless the cause is
    /// [`BackendError::OutcomeUnknown`]: then the outcome could not be determined in time. May be
    /// retried.
    #[error("the datastore did not commit the write; try again")]
    Unavailable(#[source] BackendError),
    /// The store is stopping. Whether the write happened is unknown only when it was already handed
    /// to the backend.
    #[error("the store is stopping")]
    Closed,
}

impl WriteError {
    /// True when the same write may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Why a list could not be answered.
#[derive(Clone, Debug, Error)]
pub enum ListError {
    /// The revision asked for is no longer available: list again.
    #[error("revision {requested} has been compacted; the oldest available is {compacted}")]
    Compacted {
        /// The revision asked for.
        requested: Revision,
        /// The oldest that can be read.
        compacted: Revision,
    },
    /// The revision asked for does not exist yet.
    #[error("revision {requested} is newer than the newest, {current}")]
    Future {
        /// The revision asked for.
        requested: Revision,
        /// The newest.
        current: Revision,
    },
    /// The backend could not be read. May be retried.
    #[error("the datastore could not be read; try again")]
    Backend(#[source] BackendError),
}

/// Why a watch ended.
#[derive(Clone, Debug, Error)]
pub enum WatchError {
    /// Events after the cursor are no longer available: list and watch again.
    #[error(
        "events after revision {requested} have been compacted; the oldest available is {compacted}"
    )]
    Compacted {
        /// The cursor.
        requested: Revision,
        /// The oldest revision that can be read.
        compacted: Revision,
    },
    /// The store stopped.
    #[error("the store stopped")]
    Closed,
    /// History could not be read from the backend. The watcher keeps its place and may be asked again.
    #[error("the datastore could not be read; try again")]
    Backend(#[source] BackendError),
}
