//! Why a reconciliation did not finish. Every error is retried with back-off.

/// A reconciliation that did not finish.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request to the API failed.
    #[error("{}", .0.chain())]
    Api(#[from] k3s_client::Error),
    /// Something else is not as it has to be.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// Anything that has no type of its own.
    pub fn other(message: impl Into<String>) -> Self {
        Self::Other(message.into())
    }

    /// Whether the object changed under the writer: normal in a busy cluster, not worth a warning.
    #[must_use]
    pub fn is_race(&self) -> bool {
        matches!(self, Self::Api(error) if error.is_conflict() || error.is_not_found() || error.is_already_exists())
    }
}
