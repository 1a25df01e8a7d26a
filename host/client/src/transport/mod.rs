//! The ways a request reaches the API server. A transport moves requests and knows no verbs.

mod files;
mod https;
mod impersonate;
mod in_process;
mod kubeconfig;

use futures_util::future::BoxFuture;
use http::{Request, Response};

use crate::body::Body;
use crate::error::Result;

pub(crate) use https::Https;
pub(crate) use impersonate::Impersonating;
pub(crate) use in_process::InProcess;
pub(crate) use kubeconfig::load as load_kubeconfig;

/// Carries one request to the server. The URI holds path and query only; a transport that needs
/// scheme and authority adds them.
pub trait Transport: Send + Sync {
    /// Sends the request and waits for the response's head.
    fn send(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>>>;
}

/// Where the certificates come from that a server is checked against.
#[derive(Clone, Debug)]
pub enum CaSource {
    /// PEM text.
    Pem(String),
    /// A PEM file.
    File(std::path::PathBuf),
}

/// Who the client says it is. Files are read again when they change, so that rotated certificates
/// and projected tokens are picked up.
#[derive(Clone, Debug)]
pub enum Identity {
    /// Nobody.
    Anonymous,
    /// A client certificate chain and key in PEM.
    Cert {
        /// Certificate chain, leaf first.
        cert_pem: String,
        /// Private key.
        key_pem: k3s_base::Secret,
    },
    /// The same in files.
    CertFiles {
        /// Certificate chain, leaf first.
        cert: std::path::PathBuf,
        /// Private key.
        key: std::path::PathBuf,
    },
    /// A bearer token.
    Token(k3s_base::Secret),
    /// A bearer token in a file.
    TokenFile(std::path::PathBuf),
    /// A user name and password (`Basic`), as K3s' own join endpoints take.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: k3s_base::Secret,
    },
}
