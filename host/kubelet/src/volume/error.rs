//! Why a volume is not there yet; the pod waits and the step is tried again.

use std::io;
use std::path::PathBuf;

use k3s_base::error::chain;

use crate::api::ReadError;
use crate::container::fields::FieldError;

/// One volume of a pod cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume \"{volume}\"")]
pub(crate) struct VolumeError {
    pub(crate) volume: String,
    #[source]
    pub(crate) source: MountError,
}

impl VolumeError {
    /// The text of the `FailedMount` event, with upstream's separator.
    pub(crate) fn event_message(&self) -> String {
        format!("{self} : {}", chain(&self.source))
    }
}

/// What stands in the way.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MountError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error(transparent)]
    HostPath(#[from] HostPathError),
    #[error("failed to fetch token")]
    Token(#[from] TokenError),
    #[error("error processing PVC {namespace}/{claim}")]
    Claim {
        namespace: String,
        claim: String,
        #[source]
        source: ClaimError,
    },
    #[error("{kind} references non-existent {kind} key: {key}")]
    MissingKey { kind: &'static str, key: String },
    #[error("downward API file {0} names no source")]
    NoSource(String),
    #[error("this kind of volume is not supported by this node")]
    UnsupportedKind,
    #[error("{0} projections are not supported by this node")]
    UnsupportedProjection(&'static str),
    #[error("emptyDir medium {0} is not supported by this node")]
    UnsupportedMedium(String),
    #[error(
        "persistent volume {name}{} is of a kind that this node does not support; only hostPath and local are",
        provisioner.as_ref().map_or_else(String::new, |by| format!(" (made by {by})"))
    )]
    UnsupportedPersistentVolume {
        name: String,
        provisioner: Option<String>,
    },
    #[error("cannot prepare {path}")]
    Prepare {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write the files of the volume")]
    Write(#[source] io::Error),
    #[error("applyFSGroup failed")]
    OwnByGroup(#[source] io::Error),
    #[error("the kubelet is stopping")]
    Stopping(#[source] tokio::task::JoinError),
}

/// A hostPath that is not what its type says.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostPathError {
    #[error("hostPath {0} must be absolute and without \"..\"")]
    Escapes(PathBuf),
    #[error("hostPath {path}")]
    Make {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("hostPath type {0} is not supported")]
    Unsupported(String),
    #[error("hostPath type check failed: {path} is not {expected}")]
    WrongType {
        path: PathBuf,
        expected: &'static str,
    },
}

/// A claim that no pod may use now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("failed to fetch PVC from API server")]
    FetchClaim(#[source] k3s_client::Error),
    #[error("failed to fetch PV {name} from API server")]
    FetchVolume {
        name: String,
        #[source]
        source: k3s_client::Error,
    },
    /// The claim of another pod has the name that this pod's ephemeral volume needs.
    #[error("{0}")]
    NotOwned(String),
    #[error("PVC is being deleted")]
    Deleting,
    #[error("PVC is not bound")]
    NotBound,
    #[error("block volumes are not supported by this node")]
    Block,
    #[error("PV.Spec.ClaimRef.UID {owner} does not match PVC.UID {claim}")]
    OtherClaim { owner: String, claim: String },
}

/// Why there is no service account token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error(transparent)]
    Request(k3s_client::Error),
    #[error("the API server sent no token")]
    Missing,
    #[error("the token's expiration time cannot be read")]
    Expiration(#[source] jiff::Error),
}
