//! Failures, and how they look to the host.

use crate::bindings::exports::k3s::datastore::backend::Error;
use crate::sql::SqlError;

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The database said no.
    Sql(String, Retry),
    /// A row like one of these is there already.
    Constraint(String),
    /// A commit went wrong.
    OutcomeUnknown(String),
    /// The log is elsewhere.
    Stale(u64),
    /// History is gone.
    Compacted(u64),
    /// Not ours to serve.
    Refused(String),
    /// Damaged.
    Corrupt(String),
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    Yes,
    No,
}

impl Failure {
    /// The database's own words.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Sql(why, _)
            | Self::Constraint(why)
            | Self::OutcomeUnknown(why)
            | Self::Refused(why)
            | Self::Corrupt(why) => why,
            Self::Stale(revision) | Self::Compacted(revision) => format!("revision {revision}"),
        }
    }
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Busy(message) | SqlError::Unavailable(message) => {
                Self::Sql(message, Retry::Yes)
            }
            SqlError::Denied(message) | SqlError::Other(message) => Self::Sql(message, Retry::No),
            SqlError::Corrupt(failure) => Self::Corrupt(failure.message),
            SqlError::Storage(failure) => Self::Sql(failure.message, Retry::Yes),
            SqlError::Constraint(failure) => Self::Constraint(failure.message),
            SqlError::Failed(failure) => Self::Sql(
                failure.message,
                if failure.retryable {
                    Retry::Yes
                } else {
                    Retry::No
                },
            ),
            SqlError::TooLarge(bytes) => {
                Self::Sql(format!("{bytes} bytes are too many"), Retry::No)
            }
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sql(message, Retry::Yes) => Self::Unavailable(message),
            Failure::Sql(message, Retry::No) | Failure::Constraint(message) => Self::Other(message),
            Failure::OutcomeUnknown(message) => Self::OutcomeUnknown(message),
            Failure::Stale(revision) => Self::Stale(revision),
            Failure::Compacted(revision) => Self::Compacted(revision),
            Failure::Refused(message) => Self::Refused(message),
            Failure::Corrupt(message) => Self::Corrupt(message),
        }
    }
}

impl From<SqlError> for Error {
    fn from(error: SqlError) -> Self {
        Failure::from(error).into()
    }
}
