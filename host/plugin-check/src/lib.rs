//! Contract suites of the kinds, for components of others: `k3s plugin check`. What a kind's contract
//! promises is tried on a fake of the host's side, so that no node, no cluster and no privilege is
//! needed.
//!
//! A suite tries each promise on an instance of its own, so that a plugin that breaks one is still held
//! against the others, and says in one sentence what the contract wanted.

mod cni;
mod datastore;
mod ingress;
mod load_balancer;
mod storage;
mod suite;

pub use suite::{Breach, Case, CheckError, Tried, run};
