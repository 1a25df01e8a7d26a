//! Why a container's image is not on the node.

use crate::cri::CriError;

/// The container waits; the reason is upstream's (`pkg/kubelet/images/types.go`).
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    #[error(
        "Failed to apply default image tag \"{image}\": couldn't parse image name \"{image}\": invalid reference format"
    )]
    InvalidName { image: String },
    #[error(transparent)]
    Inspect(CriError),
    #[error("Container image \"{image}\" is not present with pull policy of Never")]
    NeverPull { image: String },
    #[error("failed to pull and unpack image \"{image}\"")]
    Pull {
        image: String,
        #[source]
        source: PullError,
    },
    /// `last` is what the failed pull before said.
    #[error("Back-off pulling image \"{image}\"{}", last.as_ref().map_or_else(String::new, |last| format!(": {last}")))]
    BackOff { image: String, last: Option<String> },
}

impl ImageError {
    /// The container's waiting reason.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::InvalidName { .. } => "InvalidImageName",
            Self::Inspect(_) => "ImageInspectError",
            Self::NeverPull { .. } => "ErrImageNeverPull",
            Self::Pull { .. } => "ErrImagePull",
            Self::BackOff { .. } => "ImagePullBackOff",
        }
    }
}

/// Why one pull failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    #[error(transparent)]
    Runtime(#[from] CriError),
    #[error("image \"{0}\" is not there after the pull")]
    Missing(String),
    #[error("failed to record image pull intent")]
    Intent(#[source] std::io::Error),
    #[error("the kubelet is stopping")]
    Stopping,
}
