//! Errors of identities on disk; every variant about a file names it.

use std::error::Error;
use std::path::PathBuf;

use k3s_base::error::Sentence;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// Reading or writing failed.
    #[error("cannot access {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The file is there but is not what its name says.
    #[error("{}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected, or the answer of the library that reads it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Of a certificate and its key, only one is there.
    #[error("{}: missing although the {other} is there", .path.display())]
    Incomplete {
        /// The file that is missing.
        path: PathBuf,
        /// The other one: `private key` or `certificate`.
        other: &'static str,
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
    /// A token that begins like a full one has another form.
    #[error("invalid token format: expected K10<CA hash>::<user>:<password>")]
    TokenFormat,
    /// A full token is of another cluster.
    #[error("token CA hash does not match the server CA certificate")]
    TokenAuthority,
    /// A token cannot be a password in `cred/passwd`.
    #[error("invalid token: it must not be empty or contain spaces, commas or colons")]
    TokenCharacters,
    /// The token that the operator gave is not the cluster's.
    #[error("the token given is not the one in {}; rotate it rather than change it here", .path.display())]
    TokenDiffers {
        /// The file with the cluster's token.
        path: PathBuf,
    },
    /// The datastore has the identity of a cluster with another token.
    #[error("bootstrap data already found and encrypted with different token")]
    BootstrapToken,
    /// The datastore's copy of the cluster's identity cannot be read.
    #[error("the bootstrap data in the datastore are malformed")]
    BootstrapFormat,
    /// This server has another authority than the cluster whose database it was given.
    #[error(
        "{} is not the authority of the cluster in the datastore; give this server a database of its own, or remove \
         its folder tls to have it made from the datastore", .path.display()
    )]
    AuthorityDiffers {
        /// The file.
        path: PathBuf,
    },
}

impl PkiError {
    pub(crate) fn malformed(
        path: impl Into<PathBuf>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self::Malformed {
            path: path.into(),
            source: Box::new(source),
        }
    }

    /// For a file that is not of the form that `expected` describes.
    pub(crate) fn unexpected(path: impl Into<PathBuf>, expected: &str) -> Self {
        Self::malformed(path, Sentence::from(expected))
    }
}
