//! The bundled service load balancer, with the rules of K3s' ServiceLB: nodes answer for LoadBalancer
//! Services on their own addresses, one Service per port and node.
//!
//! This component only decides. [`model`] has the relevant fields of Services and nodes, [`pool`] which
//! nodes may answer, [`plan`] which Service gets which port of which node, and [`klipper`] the contract.
//! All of it is pure.
//!
//! Unlike in K3s no pod listens: the nodes' service proxies forward, so clients keep their addresses, and a
//! port conflict is a message instead of a pod that never starts.
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
mod klipper;
mod model;
mod plan;
mod pool;

k3s_plugin_sdk::export_load_balancer!(klipper::Klipper);
