//! The bundled storage provisioner, compatible with K3s' local-path: a volume is a directory of the
//! node that its first pod runs on.
//!
//! This component decides which directory ([`place`], from [`config`] and [`pattern`]); the host makes
//! and removes it, and only below the roots that were granted. [`local_path`] carries out the
//! contract's functions on [`host::Host`], and `guest` binds both to the component's exports and
//! imports.
//!
//! As with K3s' there is no quota: a volume may take what its file system has.
#![cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "the exports that use it all exist on wasm only")
)]
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
mod host;
mod local_path;
mod pattern;
mod place;

#[allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    unused_qualifications
)]
mod bindings {
    wit_bindgen::generate!({
        path: ["../../wit/common", "../../wit/host", "../../wit/volumes", "../../wit/storage"],
        world: "k3s:storage/storage",
        generate_all,
    });
}

#[cfg(target_arch = "wasm32")]
mod guest;
