//! Why no configuration can be made for a container or its sandbox.

use std::io;
use std::path::PathBuf;

use super::fields::FieldError;
use crate::api::ReadError;

/// The container waits with the reason `CreateContainerConfigError` and this message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error(transparent)]
    NonRoot(#[from] NonRootError),
    #[error(transparent)]
    Hostname(#[from] HostnameError),
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    MissingKey {
        kind: &'static str,
        namespace: String,
        name: String,
        key: String,
    },
    #[error("{0} is not supported by this node")]
    Unsupported(&'static str),
    #[error("env.valueFrom names no source")]
    NoSource,
    #[error("missing value for \"{0}\"")]
    MissingValue(String),
    #[error("volume \"{volume}\" of the mount {mount_path} is not in the pod")]
    UnknownVolume { volume: String, mount_path: String },
    #[error("subPath \"{0}\" must be a relative path without \"..\"")]
    SubPathEscapes(String),
    #[error("failed to prepare subPath for volumeMount \"{mount}\" of container \"{container}\"")]
    SubPath {
        mount: String,
        container: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot read {path}")]
    ReadFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write {path}")]
    WriteFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The container would or might run as root although `runAsNonRoot` forbids it. `place` names pod
/// and container as upstream does.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NonRootError {
    #[error("container's runAsUser breaks non-root policy {place}")]
    RunAsUser { place: String },
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root {place}"
    )]
    NamedUser { user: String, place: String },
    #[error("container has runAsNonRoot and image will run as root {place}")]
    Root { place: String },
}

/// `setHostnameAsFQDN` asks for a name that Linux does not take.
#[derive(Debug, thiserror::Error)]
#[error(
    "Failed to construct FQDN from Pod hostname and cluster domain, FQDN {fqdn} is too long ({limit} characters is the max, {} characters requested)",
    fqdn.len()
)]
pub(crate) struct HostnameError {
    pub(crate) fqdn: String,
    pub(crate) limit: usize,
}
