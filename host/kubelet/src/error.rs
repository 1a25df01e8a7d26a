//! What starting the kubelet, and what single steps of running a pod, can fail with.

use std::path::PathBuf;

/// Why the kubelet could not start.
#[derive(Debug, thiserror::Error)]
pub enum KubeletError {
    /// The runtime's socket cannot be reached.
    #[error("the container runtime cannot be reached")]
    Runtime(#[from] k3s_cri::ConnectError),
    /// The runtime answers, but with an error.
    #[error("the container runtime does not work: {0}")]
    RuntimeCall(String),
    /// The serving certificate, its key or the client CA cannot be used.
    #[error("kubelet TLS: {0}")]
    Tls(String),
    /// The port is taken.
    #[error("cannot listen on {address}")]
    Listen {
        /// What was asked for.
        address: std::net::SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A directory the kubelet lives in cannot be made.
    #[error("cannot prepare {path}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// No address to register the node with.
    #[error("no node address: there is no default route and --node-ip is not set")]
    NoAddress,
    /// The cgroup hierarchy cannot be used.
    #[error("cgroups: {0}")]
    Cgroup(String),
}
