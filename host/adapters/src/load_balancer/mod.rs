//! LoadBalancer Services by plugin: `k3s_servicelb::Balancer` implemented by a component, which sees
//! the fields of Services and nodes that it asked for.
//!
//! A fresh instance is given every object again. Another component has assigned every Service before it
//! takes over.

mod balancer;
mod calls;
mod convert;
mod kind;
mod probe;

pub use balancer::{LoadBalancer, LoadBalancerOptions, OpenError, open_load_balancer};
pub use kind::BalancerKind;
pub use probe::BalancerProbe;

use k3s_plugin_host::Contract;

/// What a load balancer component must export and may import.
pub const CONTRACT: Contract = Contract {
    kind: "load-balancer",
    exports: &[
        &[
            "k3s:common/plugin@0.1.0",
            "k3s:common/feed@0.1.0",
            "k3s:load-balancer/balancer@0.2.0",
        ],
        &[
            "k3s:common/plugin@0.1.0",
            "k3s:load-balancer/balancer@0.1.0",
        ],
    ],
    imports: &[],
};
