//! Why a file is not applied.

use std::path::PathBuf;

use k3s_base::error::Sentence;
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
    /// It is not JSON.
    #[error("error parsing JSON")]
    Json(#[source] serde_json::Error),
    /// It is not YAML. The library's text shows the place in several lines; the first one names it.
    #[error("error parsing YAML: {}", .0.to_string().lines().next().unwrap_or_default())]
    Yaml(serde_saphyr::Error),
    /// It is YAML or JSON, but not of objects.
    #[error("{0}")]
    Objects(Sentence),
    /// There is no patch from what was applied last and what exists to what is wanted.
    #[error("cannot make a patch")]
    Patch(#[source] PatchError),
    /// Its name cannot be that of an AddOn.
    #[error(
        "the file name up to its first dot, {0:?}, is not a DNS label (lower case letters, digits and dashes)"
    )]
    Name(String),
    /// Another file has the same name.
    #[error("{} has the same name up to its first dot, and a name belongs to one file", first.display())]
    NameInUse {
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
    /// Whether the file itself is wrong, so that it is not tried again until it changes.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Json(_)
                | Self::Yaml(_)
                | Self::Objects(_)
                | Self::Patch(_)
                | Self::TooLarge { .. }
                | Self::Name(_)
                | Self::NameInUse { .. }
        )
    }
}
