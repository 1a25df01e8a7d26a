//! Ports implemented by plugins: one module per kind, and the plugins that come with the executable.
//!
//! An adapter takes a component (the bundled one or the operator's), gives it exactly the
//! capabilities of its kind, and makes it look like the port its consumer defines.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod bundled;
pub mod cni;
pub mod datastore;
pub mod ingress;
pub mod storage;
