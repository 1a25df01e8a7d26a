//! How this crate fails: with the `Status` that the client is to see. This module is the one place
//! where failures of the store become statuses.

use std::fmt;

use k3s_meta::{Details, GroupResource, Status};
use k3s_store::{BackendError, ListError, WatchError, WriteError};

/// A failed operation.
#[derive(Clone, Debug)]
pub struct Error(Box<Status>);

/// What operations return.
pub type Result<T> = std::result::Result<T, Error>;

/// Seconds after which a client may try a write again that the datastore could not take.
const RETRY_SECONDS: u32 = 1;

impl Error {
    /// The status to answer with.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.0
    }

    /// The status, by value.
    #[must_use]
    pub fn into_status(self) -> Status {
        *self.0
    }

    /// True when the object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.0.code == 404
    }

    /// True for any conflict of versions, UIDs or names.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.0.code == 409
    }

    /// Whether a write that failed so may have been made all the same. What the client did wrong was found before it.
    pub(crate) fn may_be_made(&self) -> bool {
        self.0.code >= 500
    }

    pub(crate) fn internal(message: impl fmt::Display) -> Self {
        Status::internal(&message.to_string()).into()
    }

    /// A write that failed for another reason than its precondition.
    pub(crate) fn from_write(
        error: &WriteError,
        gr: &GroupResource,
        name: &str,
        operation: &str,
    ) -> Self {
        match error {
            WriteError::Conflict { .. } => Status::modified(gr, name).into(),
            WriteError::TooLarge {
                what,
                bytes,
                limit_bytes,
            } => Status::too_large(&format!(
                "{what} of {bytes} bytes is above the limit of {limit_bytes}"
            ))
            .into(),
            WriteError::Unavailable(why) => {
                datastore(why, &format!("the {operation} operation against {gr}")).into()
            }
            WriteError::Closed => Status::service_unavailable("the server is shutting down").into(),
        }
    }
}

/// The datastore did not answer. Upstream answers `ServerTimeout` without a reason; an administrator
/// needs to read which part is missing.
fn datastore(why: &BackendError, what: &str) -> Status {
    let not_done = |why: &str| {
        Status::service_unavailable(format!(
            "the datastore is unavailable, so {what} was not done: {why}; please try again"
        ))
    };
    let status = match why {
        BackendError::Unavailable(why) => not_done(why),
        BackendError::OutcomeUnknown(why) => Status::timeout(&format!(
            "the datastore was lost while {what} was under way, which may or may not be done: {why}; please read the object, then try again"
        )),
        other => not_done(&other.to_string()),
    };
    let retry_after_seconds = i32::try_from(RETRY_SECONDS).unwrap_or(1);
    Status {
        details: Some(Details {
            retry_after_seconds,
            ..Details::default()
        }),
        ..status
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self(Box::new(status))
    }
}

impl From<ListError> for Error {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Compacted {
                requested,
                compacted,
            } => Status::expired(format!(
                "too old resource version: {requested} ({compacted})"
            ))
            .into(),
            ListError::Future { requested, current } => {
                Status::too_large_resource_version(requested.0, current.0, RETRY_SECONDS).into()
            }
            ListError::Backend(cause) => datastore(&cause, "the list").into(),
        }
    }
}

impl From<WatchError> for Error {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Compacted {
                requested,
                compacted,
            } => Status::expired(format!(
                "too old resource version: {requested} ({compacted})"
            ))
            .into(),
            WatchError::Closed => Status::service_unavailable("the server is shutting down").into(),
            WatchError::Backend(cause) => datastore(&cause, "the watch").into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {}
