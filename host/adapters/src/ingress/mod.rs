//! Ingress controllers by plugin: `k3s_ingress::Compiler` implemented by a component.
//!
//! The adapter keeps every object that the component was given. A fresh instance, after a trap or as a
//! replacement, gets all of them before anything else, and its first answer covers everything. While the
//! component is down the data plane serves the last table.
//!
//! Calls go to one instance, one at a time. Objects are masked before they come here; what the component
//! answers about objects that it was not given is dropped.

pub(crate) mod check;
mod compiler;
mod open;

pub use compiler::{SwapError, WasmCompiler};
pub use open::{IngressOptions, open_ingress};

use k3s_plugin_host::Contract;

/// What an ingress component must export and may import: it needs nothing but the host's log.
pub const CONTRACT: Contract = Contract {
    kind: "ingress",
    exports: &[
        &[
            "k3s:common/plugin@0.1.0",
            "k3s:common/feed@0.1.0",
            "k3s:ingress/routing@0.2.0",
        ],
        &["k3s:common/plugin@0.1.0", "k3s:ingress/routing@0.1.0"],
    ],
    imports: &[],
};
