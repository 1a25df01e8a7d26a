//! Pod networks by plugin: `k3s_runtime::PodNetwork` implemented by a component over two capabilities,
//! [`net`] (owned plans) and [`ipam`] (leases on disk).
//!
//! The plugin says what should exist; this module makes it exist, and is alone with namespaces, sockets
//! and files. Ownership is written into the kernel's objects (link aliases, comments of tables and
//! elements, a protocol number on routes), so nothing is forgotten by a restart, and nothing that is
//! not ours is touched.
//!
//! Calls go to one instance, one at a time: a pod costs about a millisecond. A trap costs the
//! instance; the next one gets the last `sync` before anything else. While the plugin is down, running
//! pods keep their network and new ones are told to try later.
//!
//! Tasks owned: one, which follows the cluster's nodes ([`follow_nodes`]).

mod capability;
pub(crate) mod check;
mod fake;
mod ipam;
mod net;
mod network;
mod nodes;
mod open;
mod rehearse;

pub use ipam::{Ipam, IpamError};
pub use net::{Grants, NetHost, PlanError, cleanup};
pub use network::{CniNetwork, SwapError, SyncError};
pub use nodes::{FollowNodes, follow_nodes};
pub use open::{CniOptions, open_cni};

use k3s_plugin_host::Contract;

/// What a pod network component must export and may import.
pub const CONTRACT: Contract = Contract {
    kind: "cni",
    exports: &["k3s:common/plugin@0.1.0", "k3s:cni/network@0.1.0"],
    imports: &["k3s:net/net@0.1.0", "k3s:ipam/ipam@0.1.0"],
};
