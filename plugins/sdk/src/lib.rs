//! What plugins in Rust have in common: the contracts' bindings, so that a plugin needs no path to the WIT
//! files; a trait per kind to implement on a plain type; a log with the usual macros; a panic hook, without
//! which a panic's message would be lost with the instance; configuration by serde.
//!
//! A plugin is a `cdylib` for `wasm32-unknown-unknown` that enables the feature of its kind, implements the
//! kind's trait and names its type in the kind's macro:
//!
//! | Feature | Trait | Macro |
//! |---|---|---|
//! | `cni` | `cni::PodNetwork` | `export_cni!` |
//! | `datastore` | `datastore::Datastore` | `export_datastore!` |
//! | `ingress` | `ingress::IngressController` | `export_ingress!` |
//! | `load-balancer` | `load_balancer::LoadBalancer` | `export_load_balancer!` |
//! | `storage` | `storage::Provisioner` | `export_storage!` |
//!
//! Each module starts with an example. Functions get what the host does for them as a parameter (`Host`,
//! `Database`), so plugins are tested natively. Where a contract asks for bookkeeping (which objects there
//! are, what was returned last, what depends on what), the SDK does it, and the trait is the decision alone.
//! The bundled plugins are written with this crate too; `docs/plugins.md` is the walk-through.

#[macro_use]
mod instance;

#[cfg(any(test, feature = "cni"))]
pub mod cni;
#[cfg(all(any(test, feature = "cni"), not(target_arch = "wasm32")))]
mod cni_fake;
#[cfg(any(test, feature = "datastore"))]
pub mod datastore;
#[cfg(any(test, feature = "ingress"))]
pub mod ingress;
#[cfg(any(test, feature = "load-balancer"))]
pub mod load_balancer;
pub mod log;
mod sentence;
mod settings;
#[cfg(any(test, feature = "storage"))]
pub mod storage;

pub use host::k3s::host::{clock, random};
pub use sentence::Sentence;
pub use serde;
pub use serde_json;
pub use settings::{NoSettings, Settings};

/// The host's own interfaces, which every kind shares.
#[allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    unused_qualifications
)]
pub mod host {
    wit_bindgen::generate!({
        path: ["../../wit/host"],
        world: "k3s:host/imports",
        generate_all,
    });
}

/// Sends the message of a panic to the log, before the instance is discarded. The kinds' macros call it.
#[doc(hidden)]
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        log::write(log::Level::Error, format_args!("{panic}"));
    }));
}
