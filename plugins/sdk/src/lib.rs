//! What plugins in Rust have in common: the contract's bindings, so that a plugin needs no path to the
//! WIT files; a trait per kind to implement on a plain type; a log that looks like any other; a panic
//! hook, without which a panic's message would go with the instance; configuration by serde.
//!
//! A plugin is a `cdylib` for `wasm32-unknown-unknown` that takes the feature of its kind, implements
//! the kind's trait and names its type in the kind's macro:
//!
//! | Feature | Trait | Macro |
//! |---|---|---|
//! | `cni` | `cni::PodNetwork` | `export_cni!` |
//! | `datastore` | `datastore::Datastore` | `export_datastore!` |
//! | `ingress` | `ingress::IngressController` | `export_ingress!` |
//! | `load-balancer` | `load_balancer::LoadBalancer` | `export_load_balancer!` |
//! | `storage` | `storage::Provisioner` | `export_storage!` |
//!
//! Where a contract asks for books to be kept (what was given, what was answered last, what depends on
//! what), the SDK keeps them, and the trait is the decision alone. `docs/plugins.md` walks through it.

#[macro_use]
mod instance;

#[cfg(any(test, feature = "cni"))]
pub mod cni;
#[cfg(any(test, feature = "datastore"))]
pub mod datastore;
#[cfg(any(test, feature = "ingress"))]
pub mod ingress;
#[cfg(any(test, feature = "load-balancer"))]
pub mod load_balancer;
pub mod log;
#[cfg(any(test, feature = "storage"))]
pub mod storage;

pub use serde;
pub use serde_json;

use serde::de::DeserializeOwned;

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

/// Reads a configuration; nothing means defaults. Give the type `#[serde(deny_unknown_fields)]`: the
/// contract wants unknown fields refused.
///
/// # Errors
/// One sentence for the operator.
pub fn config<T: DeserializeOwned + Default>(bytes: &[u8]) -> Result<T, String> {
    if bytes.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

/// Sends the message of a panic to the log before the instance is gone. The kinds' macros call it.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        log::write(log::Level::Error, format_args!("{panic}"))
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        size: u32,
    }

    #[test]
    fn nothing_is_the_default_and_mistakes_are_named() {
        assert_eq!(config::<Settings>(b" "), Ok(Settings::default()));
        assert_eq!(
            config::<Settings>(br#"{"size":7}"#),
            Ok(Settings { size: 7 })
        );
        assert!(config::<Settings>(br#"{"sise":7}"#).is_err_and(|e| e.contains("sise")));
    }
}
