//! The bundled storage provisioner, compatible with K3s' local-path: a volume is a directory of the
//! node that its first pod runs on.
//!
//! This component decides which directory ([`place`], from [`config`] and [`pattern`]); the host makes
//! and removes it, only below the granted roots. [`local_path`] implements the contract with them.
//!
//! As with K3s' there is no quota: a volume may fill its file system.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod config;
mod local_path;
mod pattern;
mod place;

k3s_plugin_sdk::export_storage!(local_path::LocalPath);
