//! Identities: certificate authorities, leaf certificates, join tokens, the password
//! file and the service account signer, in the file layout of K3s (`<data-dir>/server/tls`,
//! `<data-dir>/server/token`, `<data-dir>/server/cred`).
//!
//! Invariants:
//! - a certificate authority on disk is never replaced; leaves are re-issued when they are within
//!   120 days of their end, when their authority, subject or names differ, or when the
//!   key does not fit;
//! - private keys, tokens and passwords are written 0600 and never logged;
//! - a file that cannot be read as what its name says is an error that names the file; nothing is
//!   overwritten then.

mod authority;
mod bootstrap;
#[cfg(test)]
mod custom_ca_tests;
mod error;
mod files;
mod identity;
mod join_tokens;
mod keys;
mod kubeconfig;
mod leaf;
mod node;
mod passwd;
mod serviceaccount;
mod tls;
mod token;

pub use authority::CertAuthority;
pub use bootstrap::{BOOTSTRAP_PREFIX, BootstrapData, bootstrap_key, missing_bootstrap_files};
pub use error::PkiError;
pub use identity::{ServerIdentity, ServerIdentityOptions};
pub use join_tokens::cluster_password;
pub use kubeconfig::Kubeconfig;
pub use leaf::{KeyedCert, LeafSpec};
pub use node::{NodeIdentity, NodeIdentityOptions};
pub use passwd::PasswordFile;
pub use serviceaccount::{LEGACY_ISSUER, ServiceAccountKeys, TokenError};
pub use tls::{client_config, server_config};
pub use token::ServerToken;
