//! Contract suites of the kinds, for components of others: `k3s plugin check`. What a kind's contract
//! promises is tried on a fake of the host's side, so that no node, no cluster and no privilege is needed.

use k3s_plugin_host::{Host, Source};
use thiserror::Error;

/// One thing that the contract says, and whether the component keeps it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What was tried.
    pub name: &'static str,
    /// Why it does not hold.
    pub outcome: Result<(), String>,
}

/// Why a suite did not run.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The component is refused.
    #[error(transparent)]
    Load(#[from] k3s_plugin_host::LoadError),
    /// The kind has none.
    #[error("there is no contract suite for {0} plugins in this build")]
    NoSuite(String),
    /// No place for the fakes.
    #[error("make a temporary folder")]
    Folder(#[from] std::io::Error),
}

/// Runs the suite of a kind.
///
/// # Errors
/// When it cannot be run; that a case fails is no error.
pub async fn run(host: &Host, kind: &str, source: Source<'_>) -> Result<Vec<Case>, CheckError> {
    match kind {
        "cni" => crate::cni::check::run(host, source).await,
        "datastore" => crate::datastore::check::run(host, source).await,
        other => Err(CheckError::NoSuite(other.to_owned())),
    }
}
