//! Why a battery gave no answer, and why a component did not take over.

use std::time::Duration;

use k3s_plugin_host::{CallError, LoadError};

/// Why there was no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The plugin failed, is down, or refuses its configuration; see [`CallError`].
    #[error(transparent)]
    Call(#[from] CallError),
    /// Too many callers wait. Nothing was called; come back later.
    #[error("{limit} calls are already waiting for the {kind} plugin")]
    Busy {
        /// The kind.
        kind: &'static str,
        /// How many may wait.
        limit: usize,
    },
    /// The runtime stops.
    #[error("the call was cut off")]
    CutOff,
}

impl Error {
    /// When to come back, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Call(
                CallError::Restarting { retry_after, .. }
                | CallError::InputQuarantined { retry_after, .. }
                | CallError::Quarantined { retry_after, .. },
            ) => Some(*retry_after),
            Self::Call(_) | Self::Busy { .. } | Self::CutOff => None,
        }
    }
}

/// Why another component did not take over. The active one continues to serve.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// It is refused. Nothing of it ran.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It does not start, refuses its configuration, or failed in the work there is.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It runs, and cannot do the work there is.
    #[error(transparent)]
    Unfit(Box<dyn std::error::Error + Send + Sync>),
    /// The runtime stops.
    #[error("the replacement was cut off")]
    CutOff,
}
