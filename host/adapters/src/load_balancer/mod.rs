//! LoadBalancer Services by plugin: `k3s_servicelb::Balancer` implemented by a component, which sees
//! the fields of Services and nodes that it asked for.
//!
//! A trap costs the instance; the next one is given every object again. [`LoadBalancer::swap`] brings
//! another component to the same point before it takes over.

mod balancer;
mod calls;
pub(crate) mod check;
mod convert;
mod open;

pub use balancer::{LoadBalancer, SwapError};
pub use open::{LoadBalancerOptions, open_load_balancer};

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
