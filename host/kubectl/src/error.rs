//! Failures in kubectl's wording.

use std::io;
use std::path::PathBuf;

use k3s_base::error::{Sentence, chain};
use k3s_client::Error;
use k3s_duration::InvalidDuration;
use k3s_meta::PatchError;

/// Why a command failed. [`Failure::report`] is what the user reads.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The API refused or cannot be reached.
    #[error(transparent)]
    Api(#[from] Error),
    /// The command's words, a manifest or an object do not allow it; where stock kubectl has a
    /// sentence for that, it is used.
    #[error(transparent)]
    Local(#[from] Sentence),
    /// A flag takes a duration and was given something else.
    #[error("invalid argument {text:?} for \"{flag}\" flag")]
    Duration {
        flag: String,
        text: String,
        #[source]
        source: InvalidDuration,
    },
    /// A file or folder that the command names.
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Standard input or output, or a process's streams.
    #[error(transparent)]
    Stream(#[from] io::Error),
    #[error("the server's answer to {path} is not JSON")]
    Answer {
        path: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("error parsing {origin}: error converting JSON to JSON")]
    JsonManifest {
        origin: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("error parsing {origin}: error converting YAML to JSON")]
    YamlManifest {
        origin: String,
        #[source]
        source: serde_saphyr::Error,
    },
    /// The text of `kubectl patch -p`.
    #[error("unable to parse {text:?}")]
    PatchText {
        text: String,
        #[source]
        source: serde_saphyr::Error,
    },
    #[error("the last-applied annotation is malformed")]
    LastApplied(#[source] serde_json::Error),
    #[error("cannot make a patch for {object}")]
    Patch {
        object: String,
        #[source]
        source: PatchError,
    },
    #[error("the object cannot be written as JSON")]
    ToJson(#[source] serde_json::Error),
    #[error("the object cannot be written as YAML")]
    ToYaml(#[source] serde_saphyr::ser::Error),
    /// A command in a container ended with this code.
    #[error("command terminated with exit code {0}")]
    Exit(u8),
    /// The answer was printed, and it is negative.
    #[error("the answer is negative")]
    Silent,
}

impl Failure {
    pub(crate) fn local(sentence: impl Into<Sentence>) -> Self {
        Self::Local(sentence.into())
    }

    /// A failure of kube's own client, beside what the server answers.
    pub(crate) fn kube(error: kube::Error) -> Self {
        Self::Api(error.into())
    }

    /// A request that HTTP has no form for, for instance a path with blanks.
    pub(crate) fn request(error: http::Error) -> Self {
        Self::Api(Error::Build(error.into()))
    }

    /// The line that the user reads; for an answer of the server it is stock kubectl's.
    pub(crate) fn report(&self) -> String {
        match self {
            Self::Api(error) => from_server(error),
            Self::Exit(_) => self.to_string(),
            other => format!("error: {}", chain(other)),
        }
    }
}

fn from_server(error: &Error) -> String {
    match error.status() {
        Some(status) => {
            let reason = status.reason.as_str();
            if reason.is_empty() {
                format!("Error from server: {}", status.message)
            } else {
                format!("Error from server ({reason}): {}", status.message)
            }
        }
        None => format!("error: {}", error.chain()),
    }
}
