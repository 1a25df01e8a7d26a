//! Ports implemented by plugins: one module per kind, and the plugins that come with the executable.
//!
//! An adapter takes a component (the bundled one or the operator's), gives it exactly the
//! capabilities of its kind, and implements with it the port that its consumer defines.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod bundled;
pub mod cni;
pub mod datastore;
mod feed;
pub mod ingress;
pub mod load_balancer;
pub mod storage;

use k3s_plugin_host::Contract;

/// The contracts of all kinds that have an adapter.
pub const CONTRACTS: &[&Contract] = &[
    &datastore::CONTRACT,
    &cni::CONTRACT,
    &ingress::CONTRACT,
    &load_balancer::CONTRACT,
    &storage::CONTRACT,
];

/// The contract of a kind.
#[must_use]
pub fn contract(kind: &str) -> Option<&'static Contract> {
    CONTRACTS
        .iter()
        .find(|contract| contract.kind == kind)
        .copied()
}
