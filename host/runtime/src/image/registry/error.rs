//! Why something could not be fetched from a registry.

use std::io;
use std::time::Duration;

use http::StatusCode;

use crate::image::error::ContentError;

/// A request fails when the peer sends nothing for this long.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A failed exchange with one endpoint.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// No connection, or it broke.
    #[error("cannot reach {url}")]
    Transport {
        url: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The peer sent nothing for too long.
    #[error("{url}: no data for {}s", IDLE_TIMEOUT.as_secs())]
    Idle { url: String },
    /// An answer that the specification does not define here.
    #[error("{url}: unexpected status {status}: {body}")]
    Status {
        url: String,
        status: StatusCode,
        body: String,
    },
    /// 404.
    #[error("{url}: not found")]
    NotFound { url: String },
    /// 401 or 403, or a challenge that the configured credentials cannot answer.
    #[error("{url}: authorization failed: {detail}")]
    Unauthorized { url: String, detail: String },
    /// The `tls` section of `registries.yaml` is unusable.
    #[error("cannot use the TLS settings of {host}")]
    Tls {
        host: String,
        #[source]
        source: io::Error,
    },
    /// The endpoint's document cannot be read.
    #[error("{url}: malformed document")]
    Document {
        url: String,
        #[source]
        source: serde_json::Error,
    },
    /// The endpoint sent more than it announced, or redirected in circles.
    #[error("{url}: {detail}")]
    Content { url: String, detail: String },
    /// The download is not what was asked for, or its digest is none.
    #[error(transparent)]
    Blob(#[from] ContentError),
    /// The download cannot be written.
    #[error("cannot write the download")]
    File(#[from] io::Error),
}

impl RegistryError {
    /// Another attempt at the same place may help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::Idle { .. } => true,
            Self::Status { status, .. } => is_worth_a_retry(*status),
            _ => false,
        }
    }
}

fn is_worth_a_retry(status: StatusCode) -> bool {
    let asked_to_wait = [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT];
    status.is_server_error() || asked_to_wait.contains(&status)
}
