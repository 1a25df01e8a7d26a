//! The service load balancer: which nodes answer for LoadBalancer Services, and what their statuses
//! show.
//!
//! A [`Balancer`] (a component in its adapter) assigns Services to nodes. [`serve`] follows Services,
//! nodes and EndpointSlices, passes what changed to the balancer, sets what nodes answer for
//! ([`NodeForwards`]), and writes statuses, the cleanup finalizer and Events through the API.
//! [`release()`] is for clusters without a load balancer: it takes back what an earlier one wrote.
//!
//! A port of a node that a pod has by `hostPort` is not taken from it, nor given to a pod that came later.
//!
//! A balancer cannot make a node answer for an address that is not its own, nor have anything written
//! to a Service that is not a LoadBalancer: [`Proposal::check`] drops such answers. While the balancer
//! is down the last assignment stays.
//!
//! Tasks: one that follows the cluster, and those of one controller. Bounds: the informers merge
//! changes per object, so nothing queues.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod balancer;
mod decide;
mod driver;
mod endpoints;
mod host_ports;
mod inputs;
mod model;
mod release;
mod table;
mod write;

pub use balancer::{Balancer, BalancerError};
pub use driver::{NodeForwards, ServeLoadBalancers, serve};
pub use inputs::{Changes, Inputs, node_addresses};
pub use model::{
    Assignment, Forward, Ingress, Problem, Proposal, ProposedForward, ProposedIngress,
};
pub use release::release;
