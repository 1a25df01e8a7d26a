//! What can go wrong inside a shim. Its client receives the error as text, since it crosses a
//! socket; inside the shim the causes are kept.

use std::io;
use std::path::PathBuf;

use k3s_base::error::chain;
use libcontainer::error::LibcontainerError;

use super::protocol::Phase;
use super::user::UserError;

/// A request that a shim did not carry out.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShimError {
    /// The request is not one of the protocol's.
    #[error("unknown request")]
    Request(#[source] serde_json::Error),
    /// No container of that name.
    #[error("container {0} not found")]
    NotFound(String),
    /// A container of that name is there already.
    #[error("container {0} exists")]
    Exists(String),
    /// Only a stopped container can be removed.
    #[error("container {0} is running")]
    Running(String),
    /// The container is not in the phase that the request needs.
    #[error("container {id} is in state {phase:?}, not {wanted:?}")]
    Phase {
        id: String,
        phase: Phase,
        wanted: Phase,
    },
    /// The image does not know the user or group.
    #[error(transparent)]
    User(#[from] UserError),
    /// The operating system refused a step.
    #[error("{step}")]
    System {
        step: &'static str,
        #[source]
        source: io::Error,
    },
    /// A volume may not be mounted there.
    #[error("{target:?} cannot be mounted because it {why}")]
    Target { target: PathBuf, why: &'static str },
    /// libcontainer refused.
    #[error("{}", without_nul(.0))]
    Container(LibcontainerError),
    /// The bundle's `config.json` cannot be read or written.
    #[error("the OCI spec is malformed")]
    Spec(#[source] serde_json::Error),
    /// The bundle's `config.json` names no process.
    #[error("the OCI spec has no process")]
    NoProcess,
    /// libcontainer built a container without a process.
    #[error("libcontainer gave no process")]
    NoPid,
    /// A container with a terminal has to send it.
    #[error("the container sent no terminal")]
    NoTerminal,
    /// The process that should have become the payload failed; its report.
    #[error("{0}")]
    Payload(String),
}

/// Names the step in which the operating system refused.
pub(super) trait Step<T> {
    fn step(self, step: &'static str) -> Result<T, ShimError>;
}

impl<T> Step<T> for io::Result<T> {
    fn step(self, step: &'static str) -> Result<T, ShimError> {
        self.map_err(|source| ShimError::System { step, source })
    }
}

/// libcontainer pads messages that crossed a pipe with NULs.
fn without_nul(error: &LibcontainerError) -> String {
    chain(error).replace('\0', "")
}
