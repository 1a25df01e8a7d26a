//! LoadBalancer Services by plugin: a component assigns Services to nodes, this module does the rest.
//!
//! [`LoadBalancer`] is the component: given what changed, it answers with the assignments that differ.
//! [`serve`] is the driver: it follows Services, nodes and EndpointSlices, gives the component the
//! fields that it wants to see, tells the nodes what they answer for ([`NodeForwards`]), and writes
//! statuses, the cleanup finalizer and Events through the API. [`release`] is for clusters without
//! load balancer: it takes back what an earlier one wrote.
//!
//! The component cannot make a node answer for an address that is not its own, nor write anything to a
//! Service that is no LoadBalancer. While it is down the last assignment stays. A trap costs the
//! instance; the next one is given every object again. [`LoadBalancer::swap`] brings another component to
//! the same point before it takes over.
//!
//! Tasks owned: one that follows the cluster, and those of one controller. Bounds: the informers merge
//! changes per object, so nothing queues.

mod balancer;
pub(crate) mod check;
mod decide;
mod driver;
mod inputs;
mod mask;
mod model;
mod open;
mod release;
mod table;
mod write;

pub use balancer::{BalancerError, LoadBalancer};
pub use driver::{NodeForwards, ServeLoadBalancers, serve};
pub use inputs::Changes;
pub use model::{Assignment, Forward, Ingress, Problem};
pub use open::{LoadBalancerOptions, open_load_balancer};
pub use release::release;

use k3s_plugin_host::Contract;

/// What a load balancer component must export and may import.
pub const CONTRACT: Contract = Contract {
    kind: "load-balancer",
    exports: &[
        "k3s:common/plugin@0.1.0",
        "k3s:load-balancer/balancer@0.1.0",
    ],
    imports: &[],
};
