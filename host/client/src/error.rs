//! What a request to the API can fail with.

use std::path::PathBuf;
use std::time::Duration;

use k3s_meta::Status;
use k3s_meta::status::CauseType;
use kube::config::KubeconfigError;
use serde::Deserialize;

use crate::body::BoxError;

/// The result of every call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed request. Callers usually ask the `is_*` questions; everything else is worth a retry
/// with back-off.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    /// No answer within the time a request may take.
    #[error("the API server did not answer in {0:?}")]
    Timeout(Duration),
    /// The object to write cannot be encoded as JSON.
    #[error("cannot encode the object")]
    Encode(#[source] serde_json::Error),
    /// The object to write has no `metadata.name`.
    #[error("the object to write has no metadata.name")]
    Unnamed,
    /// The request cannot be put into HTTP: a path or parameter that the API has no form for.
    #[error("cannot build the request")]
    Build(#[source] BoxError),
    /// The server does not speak the WebSocket protocol of exec, attach and port-forward.
    #[error("cannot upgrade the connection")]
    Upgrade(#[source] kube::client::UpgradeConnectionError),
    /// A kubeconfig cannot be read.
    #[error("kubeconfig {}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<KubeconfigError>,
    },
    /// A kubeconfig asks to trust any server, which would hand the credentials to anybody.
    #[error("kubeconfig {}: insecure-skip-tls-verify is not supported", .0.display())]
    InsecureTls(PathBuf),
    /// Certificate, key, CA bundle or token cannot be used.
    #[error("cannot use the credentials")]
    Credentials(#[source] BoxError),
}

impl Error {
    pub(crate) fn decode(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Decode {
            what: what.into(),
            source: source.into(),
        }
    }

    pub(crate) fn build(source: impl Into<BoxError>) -> Self {
        Self::Build(source.into())
    }

    pub(crate) fn credentials(source: impl Into<BoxError>) -> Self {
        Self::Credentials(source.into())
    }

    /// The error and its causes in one line, for logs.
    #[must_use]
    pub fn chain(&self) -> String {
        k3s_base::error::chain(self)
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
            .is_some_and(|status| status.reason.as_str() == reason)
    }

    /// The server was not reached, so that nothing is known about the object.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Transport(_) | Self::Timeout(_))
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

    /// A create was refused because the namespace is being deleted (cause `NamespaceTerminating`):
    /// nothing to retry.
    #[must_use]
    pub fn is_namespace_terminating(&self) -> bool {
        let details = self.status().and_then(|status| status.details.as_ref());
        let causes = details.map_or(&[][..], |details| details.causes.as_slice());
        self.is_forbidden()
            && causes
                .iter()
                .any(|cause| cause.reason == CauseType::NAMESPACE_TERMINATING)
    }
}

/// kube's errors at this crate's levels; what an error has no place for was in the transport.
impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Status(Box::new(from_kube(&status))),
            kube::Error::Service(source) => Self::Transport(source),
            kube::Error::SerdeError(source) => Self::decode("a response", source),
            kube::Error::FromUtf8(source) => Self::decode("a response", source),
            kube::Error::BuildRequest(source) => Self::build(source),
            kube::Error::HttpError(source) => Self::build(source),
            kube::Error::UpgradeConnection(source) => Self::Upgrade(source),
            other => Self::Transport(other.into()),
        }
    }
}

impl From<kube::core::request::Error> for Error {
    fn from(error: kube::core::request::Error) -> Self {
        match error {
            kube::core::request::Error::SerializeBody(source) => Self::Encode(source),
            other => Self::build(other),
        }
    }
}

/// kube's `Status` and `k3s_meta`'s have one JSON form.
fn from_kube(status: &kube::core::Status) -> Status {
    let value = serde_json::to_value(status).unwrap_or_default();
    let mut converted =
        Status::deserialize(value).unwrap_or_else(|_| Status::internal(&status.message));
    converted.code = status.code;
    converted
}
