//! Errors of identities on disk; every variant about a file names it.

use std::error::Error;
use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// Reading or writing failed.
    #[error("cannot access {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The file is there but is not what its name says.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected.
        reason: String,
    },
    /// A certificate or key could not be made.
    #[error("cannot issue certificate {name}")]
    Issue {
        /// The subject.
        name: String,
        /// The certificate library's answer.
        #[source]
        source: rcgen::Error,
    },
    /// A TLS set-up was refused by the TLS library.
    #[error("cannot set up TLS")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
    /// A bundle of certificates is empty.
    #[error("no certificate in the PEM text")]
    NoCertificate,
    /// A token given by the operator has a wrong form.
    #[error("{0}")]
    Token(String),
}

impl PkiError {
    pub(crate) fn malformed(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::Malformed {
            path: path.into(),
            reason: reason.to_string(),
        }
    }
}
