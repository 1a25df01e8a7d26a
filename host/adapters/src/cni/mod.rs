//! Pod networks by plugin: `k3s_runtime::PodNetwork` and `k3s_podnetwork::NodeSync` implemented by a
//! component over two capabilities, `net` (owned plans) and `ipam` (leases on disk). The plugin says
//! what should exist; `k3s_podnetwork` makes it exist.
//!
//! A call costs about a millisecond per pod. A fresh instance gets the last `sync` before anything
//! else. While the plugin is down, running pods keep their network and new ones are retried.

mod capability;
mod convert;
mod kind;
mod network;

pub use kind::CniKind;
pub use network::{CniNetwork, CniOptions, open_cni};

use k3s_plugin_host::Contract;

/// What a pod network component must export and may import.
pub const CONTRACT: Contract = Contract {
    kind: "cni",
    exports: &[&["k3s:common/plugin@0.1.0", "k3s:cni/network@0.1.0"]],
    imports: &["k3s:net/net@0.1.0", "k3s:ipam/ipam@0.1.0"],
};
