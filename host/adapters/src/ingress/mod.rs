//! Ingress controllers by plugin: `k3s_ingress::Compiler` implemented by a component.
//!
//! A fresh instance, after a trap or as a replacement, gets every object before anything else, through
//! the masks that it asked for, and its first answer covers everything. What the component answers about
//! objects that it was not given is dropped. While it is down the data plane serves the last table.

mod compiler;
mod kind;
mod probe;

pub use compiler::{IngressOptions, WasmCompiler, open_ingress};
pub use kind::{RoutingKind, RoutingSession};
pub use probe::RoutingProbe;

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
