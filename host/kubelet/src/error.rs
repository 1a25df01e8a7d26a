//! Why the kubelet cannot start.

use std::path::PathBuf;

use rustls::pki_types::pem;
use rustls::server::VerifierBuilderError;

use crate::cri::CriError;

/// Why the kubelet could not start.
#[derive(Debug, thiserror::Error)]
pub enum KubeletError {
    /// The runtime's socket cannot be reached.
    #[error("the container runtime cannot be reached")]
    Runtime(#[from] k3s_cri::ConnectError),
    /// The runtime answers, but with an error.
    #[error("the container runtime does not work")]
    RuntimeCall(#[source] RuntimeError),
    /// The serving certificate, its key or the client CA cannot be used.
    #[error("kubelet TLS")]
    Tls(#[source] TlsError),
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
    #[error("cgroups cannot be used")]
    Cgroup(#[source] std::io::Error),
}

/// What the runtime answered to the kubelet's first call.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct RuntimeError(#[from] CriError);

/// Which part of the TLS settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The client CA is not PEM or empty.
    #[error("client CA")]
    ClientCaPem(#[source] pem::Error),
    /// The client CA is not a certificate that can be trusted.
    #[error("client CA")]
    ClientCa(#[source] rustls::Error),
    /// The client CA cannot verify anything.
    #[error("client CA")]
    Verifier(#[source] VerifierBuilderError),
    /// The serving certificate is not PEM or empty.
    #[error("serving certificate")]
    CertificatePem(#[source] pem::Error),
    /// The serving key is not PEM.
    #[error("serving key")]
    KeyPem(#[source] pem::Error),
    /// Certificate and key do not belong together, or cannot be served.
    #[error("serving certificate")]
    Settings(#[source] rustls::Error),
}
