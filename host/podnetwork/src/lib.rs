//! The node's side of a pod network: what a plugin plans, this crate makes true in the kernel.
//!
//! [`NodeNetwork`] is the `net` capability: `model` reads a guest's plan and refuses what is not
//! granted, `snapshot` reads the kernel, `diff` decides what to do, purely, and `act` does it; `tables`
//! is the same for the packet filter. [`Ipam`] is the `ipam` capability: leases on disk.
//! [`follow_nodes`] passes the cluster's nodes to the plugin. [`Rehearsal`] and [`FakeNode`] are the
//! same network for a plugin that does not serve yet, and for one that is only checked.
//!
//! Ownership is written into the kernel's objects (link aliases, comments of tables and elements, a
//! protocol number on routes), so a restart forgets nothing and nothing foreign is touched.
//!
//! Tasks: one, which follows the cluster's nodes.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod act;
mod diff;
mod error;
mod fake;
mod grants;
mod host;
mod ipam;
mod model;
mod nodes;
mod rehearse;
mod snapshot;
mod tables;

pub use error::{IpamError, PlanError, SyncError};
pub use fake::FakeNode;
pub use grants::Grants;
pub use host::{NODE_OWNER, NetHost, NodeNetwork, cleanup};
pub use ipam::Ipam;
pub use nodes::{FollowNodes, Node, NodeSync, Outcome, follow_nodes};
pub use rehearse::Rehearsal;
