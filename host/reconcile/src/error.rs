//! Why a reconciliation did not finish. Every error is retried with back-off.

/// A reconciliation that did not finish.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request to the API failed.
    #[error(transparent)]
    Api(#[from] k3s_client::Error),
    /// The reconciler panicked; the panic's own text is in the log.
    #[error("the reconciler panicked")]
    Panicked,
    /// An error of the controller's own.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// An error of the controller's own.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// Whether the object changed under the writer: normal in a busy cluster, not worth a warning.
    #[must_use]
    pub(crate) fn is_race(&self) -> bool {
        matches!(self, Self::Api(error) if error.is_conflict() || error.is_not_found() || error.is_already_exists())
    }
}
