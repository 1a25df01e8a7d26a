//! Why a file is not applied.

use std::path::PathBuf;

use k3s_meta::patch::PatchError;

/// A file that cannot be used, or an object of it that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read from disk, or removed.
    #[error("cannot access the file")]
    File(#[from] std::io::Error),
    /// It is larger than any manifest.
    #[error("{bytes} bytes are more than the {limit} a manifest may have")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The bound.
        limit: u64,
    },
    /// It is no YAML or JSON of objects.
    #[error("{0}")]
    Parse(String),
    /// What was applied last, what is wanted and what is there give no patch.
    #[error("cannot make a patch")]
    Patch(#[source] PatchError),
    /// Its name cannot be that of an AddOn.
    #[error(
        "the file name up to its first dot, {0:?}, is not a DNS label (lower case letters, digits and dashes)"
    )]
    Name(String),
    /// Another file has the same name.
    #[error("{} has the same name up to its first dot, and a name belongs to one file", first.display())]
    Taken {
        /// The file that has it.
        first: PathBuf,
    },
    /// An object names a kind that the API does not serve.
    #[error("no matches for kind {kind:?} in version {api_version:?}")]
    UnknownKind {
        /// The kind.
        kind: String,
        /// Its group and version.
        api_version: String,
    },
    /// The API refused an object.
    #[error("{object}")]
    Object {
        /// `deployments.apps kube-system/coredns`
        object: String,
        /// Why.
        #[source]
        source: k3s_client::Error,
    },
    /// A request to the API failed.
    #[error(transparent)]
    Api(#[from] k3s_client::Error),
}

impl Error {
    /// Whether the text itself is at fault, so that only another text helps.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Parse(_)
                | Self::Patch(_)
                | Self::TooLarge { .. }
                | Self::Name(_)
                | Self::Taken { .. }
        )
    }
}
