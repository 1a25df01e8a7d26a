//! What can go wrong, and which gRPC status a CRI client gets for it.

use std::io;
use std::path::PathBuf;

use k3s_cri::{Code, Status};

use crate::image::pull::PullError;
use crate::network::NetworkError;
use crate::shim::protocol::{ProtocolError, RemoteError};
use crate::spec::seccomp::ProfileError;

/// An error of a CRI call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No such sandbox, container or image.
    #[error("{kind} {id:?}: not found")]
    NotFound { kind: &'static str, id: String },
    /// The request contradicts itself or what is there.
    #[error("{0}")]
    Invalid(String),
    /// Asked for something that is not supported; ignoring it would weaken the pod.
    #[error("{0} is not supported by the embedded runtime")]
    Unsupported(String),
    /// Not possible in the state the object is in.
    #[error("{0}")]
    Precondition(String),
    /// Another object has the name.
    #[error("{0}")]
    Exists(String),
    /// The seccomp profile that the pod names is not one.
    #[error("seccomp profile {}", .path.display())]
    Profile {
        path: PathBuf,
        #[source]
        source: ProfileError,
    },
    #[error("{context}")]
    Io {
        context: String,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Shim(#[from] ShimFailure),
    #[error("failed to setup network for sandbox")]
    Network(#[from] NetworkError),
    #[error("failed to pull and unpack image")]
    Pull(#[from] PullError),
    #[error("{0} timed out")]
    Timeout(String),
}

/// A shim, or the process that shims are forked from, did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShimFailure {
    /// A request failed in the shim.
    #[error(transparent)]
    Refused(RemoteError),
    #[error("failed to start container {id:?}")]
    StartContainer {
        id: String,
        #[source]
        source: RemoteError,
    },
    #[error("start the shim")]
    StartShim(#[source] RemoteError),
    #[error("the shim's parent ended")]
    ParentEnded,
    #[error("the shim closed the connection")]
    Closed,
    /// What the shim sent is not of the protocol.
    #[error("malformed frame from the shim")]
    Frame(#[source] ProtocolError),
    #[error("malformed answer from the shim")]
    Answer(#[source] serde_json::Error),
    /// The answer to a subscription was another than the states.
    #[error("the shim did not answer with states")]
    NoStates,
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn not_found(kind: &'static str, id: &str) -> Self {
        Self::NotFound {
            kind,
            id: id.to_owned(),
        }
    }
}

/// Adds what was being done when the system failed.
pub(crate) trait Context<T> {
    fn context(self, context: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, context: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io {
            context: context(),
            source,
        })
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::NotFound { .. } => Code::NotFound,
            Error::Invalid(_) | Error::Profile { .. } => Code::InvalidArgument,
            Error::Unsupported(_) => Code::Unimplemented,
            Error::Precondition(_) => Code::FailedPrecondition,
            Error::Exists(_) => Code::AlreadyExists,
            Error::Timeout(_) => Code::DeadlineExceeded,
            Error::Pull(PullError::Registry(error)) if error.is_transient() => Code::Unavailable,
            Error::Io { .. } | Error::Shim(_) | Error::Network(_) | Error::Pull(_) => Code::Unknown,
        };
        Self::new(code, k3s_base::error::chain(&error))
    }
}
