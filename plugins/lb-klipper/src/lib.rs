//! The bundled service load balancer, with the rules of K3s' ServiceLB: nodes answer for LoadBalancer
//! Services on their own addresses, one Service per port and node.
//!
//! This component only decides. [`model`] is what matters of Services and nodes, [`pool`] which nodes
//! may answer, [`plan`] who gets which port of which node, [`books`] what was said last. Those are
//! pure. `guest` binds them to the component's exports.
//!
//! Other than in K3s no pod listens: the nodes' service proxies forward, so that clients keep their
//! addresses, and a port that is taken is a message instead of a pod that never starts.
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

mod books;
mod config;
mod model;
mod plan;
mod pool;

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
        path: ["../../wit/common", "../../wit/host", "../../wit/load-balancer"],
        world: "k3s:load-balancer/load-balancer",
        generate_all,
    });
}

#[cfg(target_arch = "wasm32")]
mod guest;
