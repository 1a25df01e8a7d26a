//! What a request to the API can fail with.

use k3s_meta::Status;

use crate::body::BoxError;

/// The result of every call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed request. Callers usually ask the `is_*` questions; everything else is worth a retry
/// with back-off.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server answered with a failure `Status`.
    #[error("{}", .0.message)]
    Status(Box<Status>),
    /// The server could not be reached, or the connection broke.
    #[error("cannot reach the API server")]
    Transport(#[source] BoxError),
    /// The server's answer is not what the API promises.
    #[error("cannot decode the API server's answer: {what}")]
    Decode {
        /// What was being read.
        what: String,
        /// The decoder's complaint.
        #[source]
        source: BoxError,
    },
    /// The request cannot be made: a bad path, an unreadable credential, an unusable kubeconfig.
    #[error("{0}")]
    Request(String),
    /// No answer within the time a request may take.
    #[error("the API server did not answer in {0:?}")]
    Timeout(std::time::Duration),
}

impl Error {
    pub(crate) fn decode(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Decode {
            what: what.into(),
            source: source.into(),
        }
    }

    /// The error and its causes in one line, for logs.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    /// The server's `Status`, where it sent one.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Status(status) => Some(status),
            _ => None,
        }
    }

    /// The HTTP code of the server's `Status`.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        self.status().map(|status| status.code)
    }

    fn has_reason(&self, reason: &str) -> bool {
        self.status()
            .is_some_and(|status| status.reason.to_string() == reason)
    }

    /// 404.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// 409 because the object changed meanwhile (stale resourceVersion or failed precondition).
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409) && !self.is_already_exists()
    }

    /// 409 because an object of that name exists.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.has_reason("AlreadyExists")
    }

    /// 410: the resource version or continue token is older than what the server keeps.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.code() == Some(410)
    }

    /// 403.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// 422.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        self.code() == Some(422)
    }

    /// 429.
    #[must_use]
    pub fn is_too_many_requests(&self) -> bool {
        self.code() == Some(429)
    }

    /// A create was refused because the namespace is being deleted: nothing to retry.
    #[must_use]
    pub fn is_namespace_terminating(&self) -> bool {
        self.is_forbidden()
            && self
                .status()
                .is_some_and(|s| s.message.contains("because it is being terminated"))
    }
}
